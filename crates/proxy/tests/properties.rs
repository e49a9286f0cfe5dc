//! Whatever bytes come, from whichever side and in whatever pieces.

use electric_proxy::Session;
use proptest::collection::vec;
use proptest::prelude::*;

fn session() -> Session {
    Session::new([7; 16], 1 << 16)
}

/// What goes on of what came in, in pieces of those sizes.
fn passed(session: &mut Session, from_client: bool, bytes: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut all, mut rest) = (vec![], bytes);
    let mut sizes = sizes.iter().copied().cycle();
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(rest.len()).clamp(1, rest.len());
        let (piece, more) = rest.split_at(size);
        let mut out = vec![];
        let direct = if from_client {
            session.from_client(piece, &mut out)
        } else {
            session.from_server(piece, &mut out)
        };
        assert!(direct.is_empty() || out.is_empty());
        all.extend_from_slice(&out);
        all.extend_from_slice(direct);
        rest = more;
    }
    all
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

/// Messages that a client could send, with and without DDLX.
fn from_client() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        Just("SELECT 1"),
        Just("ELECTRIC ENABLE items"),
        Just("SELECT 'electric'; ALTER TABLE \"ü\" ENABLE ELECTRIC; SELECT 2"),
        Just("ELECTRIC GRANT JUNK"),
    ];
    let name = prop_oneof![Just(""), Just("a")];
    prop_oneof![
        text.clone()
            .prop_map(|text| message(b'Q', format!("{text}\0").as_bytes())),
        (name.clone(), text)
            .prop_map(|(name, text)| message(b'P', format!("{name}\0{text}\0\0\0").as_bytes())),
        name.clone()
            .prop_map(|name| message(b'B', format!("\0{name}\0\0\0\0\0\0\0").as_bytes())),
        name.clone()
            .prop_map(|name| message(b'E', format!("{name}\0\0\0\0\0").as_bytes())),
        name.prop_map(|name| message(b'C', format!("S{name}\0").as_bytes())),
        prop_oneof![Just(b'S'), Just(b'H'), Just(b'c')].prop_map(|kind| message(kind, b"")),
        (any::<u8>(), vec(any::<u8>(), 0..40)).prop_map(|(kind, body)| message(kind, &body)),
        vec(any::<u8>(), 0..20),
    ]
}

/// Messages that a server could send, in an order that none would.
fn from_server() -> impl Strategy<Value = Vec<u8>> {
    let mark = "07".repeat(16);
    let row = [&[0, 2, 0, 0, 0, 32], mark.as_bytes(), &[0, 0, 0, 3], b"TAG"].concat();
    let columns = format!("\0\u{2}electric_p_{mark}\0");
    prop_oneof![
        Just(message(b'D', &row)),
        Just(message(b'T', columns.as_bytes())),
        Just(message(b'C', b"SELECT 1\0")),
        Just(message(b'E', b"SERROR\0C42601\0Mx\0P17\0p3\0qELECTRIC\0\0")),
        Just(message(b'S', b"client_encoding\0SJIS\0")),
        prop_oneof![
            Just(b'1'),
            Just(b'2'),
            Just(b'3'),
            Just(b'n'),
            Just(b'I'),
            Just(b's')
        ]
        .prop_map(|kind| message(kind, b"")),
        Just(message(b'Z', b"I")),
        Just(message(b'G', b"\0\0\0")),
        (any::<u8>(), vec(any::<u8>(), 0..40)).prop_map(|(kind, body)| message(kind, &body)),
        vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What comes of messages does not depend on how they come.
    #[test]
    fn pieces_make_no_difference(
        rounds in vec((vec(from_client(), 0..4), vec(from_server(), 0..6)), 1..5),
        sizes in vec(1..30_usize, 1..5),
    ) {
        let (mut whole, mut pieces) = (session(), session());
        for (up, down) in rounds {
            let (up, down) = (up.concat(), down.concat());
            prop_assert_eq!(
                passed(&mut whole, true, &up, &[]),
                passed(&mut pieces, true, &up, &sizes)
            );
            prop_assert_eq!(
                passed(&mut whole, false, &down, &[]),
                passed(&mut pieces, false, &down, &sizes)
            );
        }
    }

    /// Without DDLX nothing is changed, and nothing whole is held back.
    #[test]
    fn what_is_not_ddlx_passes(
        up in vec((any::<u8>(), "[a-df-z ]{0,30}"), 0..8),
        down in vec(from_server(), 0..8),
        sizes in vec(1..30_usize, 1..5),
    ) {
        let up: Vec<u8> = up.iter().flat_map(|(kind, text)| message(*kind, format!("{text}\0").as_bytes())).collect();
        let mut session = session();
        prop_assert_eq!(&passed(&mut session, true, &up, &sizes), &up);
        let down = down.concat();
        let passed = passed(&mut session, false, &down, &sizes);
        prop_assert!(down.starts_with(&passed));
    }

    /// Any bytes at all.
    #[test]
    fn nothing_panics(up in vec(any::<u8>(), 0..300), down in vec(any::<u8>(), 0..300)) {
        let mut session = session();
        passed(&mut session, true, &up, &[11]);
        passed(&mut session, false, &down, &[13]);
    }
}
