//! What is found lies in the text, in order, and is what it would be alone.
#![no_main]

use electric_ddlx::{FoundKind, find, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let found = find(text);
    let mut end = 0;
    for (index, statement) in found.iter().enumerate() {
        let range = statement.range.clone();
        assert!(range.start < range.end && range.start >= end);
        // Between two statements there is a semicolon.
        assert!(index == 0 || text[end..range.start].contains(';'));
        end = range.end;
        match &statement.kind {
            FoundKind::Ddlx(located) => {
                assert_eq!(located.range, range);
                let alone = parse(&text[range]).expect("it was parsed before");
                assert_eq!(alone.len(), 1);
                assert_eq!(alone[0].value, located.value);
            }
            FoundKind::Invalid(error) => {
                let before = &text[..error.byte_offset];
                assert_eq!(error.char_position, before.chars().count() + 1);
                assert!(error.byte_offset >= range.start);
                assert!(parse(&text[range]).is_err());
            }
            FoundKind::Other => {}
        }
    }
    if found.iter().all(|it| matches!(it.kind, FoundKind::Ddlx(_))) && !found.is_empty() {
        let parsed = parse(text).expect("all of it was parsed");
        assert_eq!(parsed.len(), found.len());
    }
});
