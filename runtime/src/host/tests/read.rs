//! What somebody wrote, read by a plugin: the interfaces that a component may do without.

use super::guest::{DESCRIPTOR, Guest};
use super::{expressions, host, limits, plugin};
use crate::host::{Call, Host, HostError, Plugin, Reach};

/// Finds what was written to be wrong, makes of a text the text, and asks in a sample for what is not there.
fn reader() -> Guest {
    let items = r#"
        (data (i32.const 2048) "error")
        (func (export "flowcell:plugin/checks@0.1.0#check")
          (param $name i32) (param $name_len i32) (param $written i32) (param $written_len i32) (result i32)
          (i32.store (i32.const 256) (i32.const 2048)) (i32.store (i32.const 260) (i32.const 5))
          (i32.store (i32.const 272) (local.get $written)) (i32.store (i32.const 276) (local.get $written_len))
          (i32.store (i32.const 64) (i32.const 256)) (i32.store (i32.const 68) (i32.const 1))
          (i32.const 64))
        (func (export "flowcell:plugin/importing@0.1.0#from-text")
          (param $format i32) (param $format_len i32) (param $text i32) (param $text_len i32) (result i32)
          (i32.store (i32.const 64) (i32.const 0))
          (i32.store (i32.const 68) (local.get $text)) (i32.store (i32.const 72) (local.get $text_len))
          (i32.const 64))
        (func (export "flowcell:plugin/sampling@0.1.0#sample") (param i32 i32 i32 i32) (result i32)
          (drop (call $attempt)) unreachable)"#;
    Guest {
        world: "whole-plugin",
        imports: r#"(import "flowcell:plugin/context@0.1.0" "attempt" (func $attempt (result i32)))"#,
        items: items.to_owned(),
        descriptor: promises(),
        receive: Some("unreachable"),
        ..Guest::action("unreachable")
    }
}

/// A descriptor of a plugin that imports and samples.
fn promises() -> String {
    DESCRIPTOR
        .replace(r#""name":"probe","#, r#""name":"probe","imports":["curl"],"#)
        .replace(r#""name":"hook""#, r#""name":"hook","samples":true"#)
}

async fn reading<'c>(host: &Host, plugin: &'c Plugin, name: &'c str) -> Call<'c> {
    let reach = Reach::Read(expressions(host).await);
    Call { plugin, name, reach, limits: limits() }
}

#[tokio::test]
async fn what_was_written_is_read_by_the_plugin_that_says_it_can() {
    let host = host();
    let plugin = plugin(&host, &reader().wasm()).await;
    let remarks = host.check(reading(&host, &plugin, "act").await, "{}").await.unwrap().result.unwrap();
    let [remark] = &remarks[..] else { panic!("{remarks:?}") };
    assert!(remark.refuses() && remark.at.is_empty() && remark.says == "{}", "{remark:?}");
    assert!(plugin.imports("curl") && !plugin.imports("postman"));
    let imported = host.import(reading(&host, &plugin, "").await, "curl", "text").await.unwrap();
    assert_eq!(imported.result.unwrap(), Ok("text".to_owned()));
    assert_eq!(plugin.sampler().unwrap().name, "hook");
    let sampled = host.sample(reading(&host, &plugin, "hook").await, "{}").await.unwrap();
    assert!(sampled.result.unwrap_err().detail.unwrap().contains("`context` is about a step"));
}

#[tokio::test]
async fn a_plugin_may_do_without() {
    let host = host();
    let plain = plugin(&host, &Guest::action("unreachable").wasm()).await;
    let checked = host.check(reading(&host, &plain, "act").await, "{}").await.unwrap();
    assert!(checked.result.unwrap().is_empty());
    assert!(!plain.imports("curl") && plain.sampler().is_none());
    let error = host.import(reading(&host, &plain, "").await, "curl", "").await.unwrap_err();
    assert!(matches!(error, HostError::NoExport(_)), "{error}");
}

#[tokio::test]
async fn what_a_descriptor_promises_is_exported() {
    let empty = Guest { descriptor: promises(), ..Guest::action("unreachable") };
    let error = super::install(&host(), &empty.wasm()).await.unwrap_err().to_string();
    assert!(error.contains("`probe` imports texts, but the component does not export"), "{error}");
}
