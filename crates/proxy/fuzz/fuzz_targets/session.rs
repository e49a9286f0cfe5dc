//! Any bytes from both sides, in turns: what goes on does not depend on the pieces in which they came.
#![no_main]

use electric_proxy::Session;
use libfuzzer_sys::fuzz_target;

fn passed(session: &mut Session, from_client: bool, bytes: &[u8], size: usize) -> Vec<u8> {
    let mut all = vec![];
    for piece in bytes.chunks(size) {
        let mut out = vec![];
        let direct = if from_client {
            session.from_client(piece, &mut out)
        } else {
            session.from_server(piece, &mut out)
        };
        assert!(direct.is_empty() || out.is_empty());
        all.extend_from_slice(&out);
        all.extend_from_slice(direct);
    }
    all
}

fuzz_target!(|turns: Vec<(bool, Vec<u8>)>| {
    let mut whole = Session::new([7; 16], 1 << 12);
    let mut pieces = Session::new([7; 16], 1 << 12);
    for (from_client, bytes) in turns {
        let at_once = passed(&mut whole, from_client, &bytes, usize::MAX);
        assert_eq!(at_once, passed(&mut pieces, from_client, &bytes, 3));
    }
});
