//! Whatever is parsed prints itself as a text that is parsed as the same; whatever is not has its error inside the text.
#![no_main]

use electric_ddlx::{Expression, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(expression) = Expression::new(text) {
        assert_eq!(Expression::new(expression.text()), Ok(expression));
    }
    match parse(text) {
        Ok(statements) => {
            let mut end = 0;
            for statement in statements {
                assert!(
                    statement.range.start >= end && statement.range.start < statement.range.end
                );
                end = statement.range.end;
                let alone = parse(&text[statement.range.clone()]).expect("it was parsed before");
                assert_eq!(alone[0].value, statement.value);
                let printed = statement.value.to_string();
                let again = parse(&printed).expect("what is printed can be parsed");
                assert_eq!(again.len(), 1);
                assert_eq!(again[0].value, statement.value);
                assert!(again[0].notices.is_empty());
                assert_eq!(again[0].value.to_string(), printed);
            }
        }
        Err(error) => {
            let before = &text[..error.byte_offset];
            assert_eq!(error.char_position, before.chars().count() + 1);
        }
    }
});
