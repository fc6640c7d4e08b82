//! Fuzz target: documents that are nearly right.

use crate::flow::{Document, read};

const SEEDS: &[&str] = &[
    include_str!("../../../examples/approval.yaml"),
    include_str!("../../../examples/hello.yaml"),
    include_str!("../../../examples/order-webhook.yaml"),
    include_str!("../../../examples/request-with-connection.yaml"),
    include_str!("../../../examples/request-with-retries.yaml"),
    include_str!("../../../examples/scene.yaml"),
];
/// More of one message does not help anybody.
const LONGEST_MESSAGE: usize = 4_000;

#[test]
fn fuzz_whatever_is_written_is_read_or_refused_with_its_place() {
    flowcell_fuzz::texts(file!(), SEEDS, |text| match read(text, "f.yaml") {
        Ok(documents) => documents.iter().for_each(is_kept),
        Err(findings) => {
            assert!(!findings.is_empty());
            // YAML takes a carriage return for the end of a line as well.
            let lines = text.matches(['\n', '\r']).count() as u64 + 1;
            for finding in findings {
                assert!((1..=lines).contains(&finding.line), "{finding}");
                assert!(finding.message.len() < LONGEST_MESSAGE, "{finding}");
            }
        }
    });
}

/// What the journal keeps of a document is read again as the same one.
fn is_kept(document: &Document) {
    match document {
        Document::Flow(flow) => match read(&flow.source, "again").as_deref() {
            Ok([Document::Flow(again)]) => assert_eq!(again.id, flow.id),
            other => panic!("{}: {other:?}", flow.source),
        },
        Document::Trigger(trigger) => match read(&trigger.source, "again").as_deref() {
            Ok([Document::Trigger(again)]) => assert_eq!(again.source, trigger.source),
            other => panic!("{}: {other:?}", trigger.source),
        },
    }
}
