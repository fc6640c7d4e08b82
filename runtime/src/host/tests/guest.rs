//! Components of a few lines, for tests.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What [`Guest::action`] describes itself as.
pub(super) const DESCRIPTOR: &str = r#"{"name":"probe","version":"1.0.0","actions":[{"name":"act","input":{"type":"object"}}],"triggers":[{"name":"hook"}]}"#;

/// A core module in parts; `text` puts them together.
pub(super) struct Guest {
    pub(super) world: &'static str,
    pub(super) imports: &'static str,
    /// Functions, globals, data from address 2048 to 4096.
    pub(super) items: String,
    pub(super) descriptor: String,
    /// Body of `start`: parameters `$name $name_len $input $input_len`, returns a result by `$done` or `$problem`.
    pub(super) start: &'static str,
    /// Body of `receive`, returns a result by `$verdict`.
    pub(super) receive: Option<&'static str>,
}

impl Guest {
    /// A component with one action that does this.
    pub(super) fn action(start: &'static str) -> Self {
        Self {
            world: "action-plugin",
            imports: "",
            items: String::new(),
            descriptor: DESCRIPTOR.to_owned(),
            start,
            receive: None,
        }
    }

    pub(super) fn wasm(&self) -> Vec<u8> {
        component(self.world, &self.text())
    }

    fn text(&self) -> String {
        let escaped = self.descriptor.replace('\\', "\\\\").replace('"', "\\\"");
        let receive = self.receive.map(trigger).unwrap_or_default();
        let Self { imports, items, descriptor, start, .. } = self;
        let described = descriptor.len();
        format!(
            r#"(module $probe
              {imports}
              {ALLOCATOR}
              (data (i32.const 1024) "{escaped}")
              (func $describe (export "flowcell:plugin/action@0.1.0#describe") (result i32)
                (i32.store (i32.const 64) (i32.const 1024)) (i32.store (i32.const 68) (i32.const {described}))
                (i32.const 64))
              (func $done (param $text i32) (param $len i32) (result i32)
                (i32.store (i32.const 64) (i32.const 0)) (i32.store (i32.const 72) (i32.const 0))
                (i32.store (i32.const 76) (local.get $text)) (i32.store (i32.const 80) (local.get $len))
                (i32.const 64))
              (func $problem (param $text i32) (param $len i32) (result i32)
                (i32.store (i32.const 64) (i32.const 1))
                (i32.store (i32.const 72) (local.get $text)) (i32.store (i32.const 76) (local.get $len))
                (i32.store (i32.const 80) (local.get $text)) (i32.store (i32.const 84) (local.get $len))
                (i32.store (i32.const 88) (i32.const 0)) (i32.store (i32.const 100) (i32.const 418))
                (i32.store (i32.const 104) (i32.const 1)) (i64.store (i32.const 112) (i64.const 1500))
                (i32.store (i32.const 120) (i32.const 0))
                (i32.const 64))
              (func $start (export "flowcell:plugin/action@0.1.0#start")
                (param $name i32) (param $name_len i32) (param $input i32) (param $input_len i32) (result i32)
                {start})
              (func (export "flowcell:plugin/action@0.1.0#resume") (param i32 i32 i32 i32 i32 i32) (result i32) unreachable)
              (func (export "flowcell:plugin/action@0.1.0#cancel") (param i32 i32 i32 i32 i32 i32) (result i32) unreachable)
              {receive}
              {items})"#
        )
    }
}

/// `cabi_realloc` that takes from the end of memory and grows it as needed, never frees.
const ALLOCATOR: &str = r#"
  (memory (export "memory") 1)
  (global $free (mut i32) (i32.const 4096))
  (func $cabi_realloc (export "cabi_realloc") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32)
    (result i32) (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get $len)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
      (br_if $fits (i32.ne (i32.const -1) (memory.grow
        (i32.add (i32.const 1) (i32.div_u (local.get $len) (i32.const 65536))))))
      unreachable)
    (local.get $at))"#;

fn trigger(receive: &str) -> String {
    format!(
        r#"
        (func (export "flowcell:plugin/trigger@0.1.0#describe") (result i32) (call $describe))
        (func (export "flowcell:plugin/trigger@0.1.0#enable") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "flowcell:plugin/trigger@0.1.0#disable") (param i32 i32 i32 i32 i32 i32) (result i32) unreachable)
        (func $verdict (param $text i32) (param $len i32) (result i32)
          (i32.store (i32.const 64) (i32.const 0))
          (i32.store (i32.const 72) (local.get $text)) (i32.store (i32.const 76) (local.get $len))
          (i32.const 64))
        (func $receive (export "flowcell:plugin/trigger@0.1.0#receive")
          (param $name i32) (param $name_len i32) (param $config i32) (param $config_len i32) (result i32)
          {receive})"#
    )
}

/// A stand-in for the expression guest. The program's first letter says what happens.
pub(super) fn expression() -> Vec<u8> {
    let text = format!(
        r#"(module $expression
          {ALLOCATOR}
          (global $calls (mut i32) (i32.const 0))
          (func $give (param $failed i32) (param $text i32) (param $len i32) (result i32)
            (i32.store (i32.const 64) (local.get $failed))
            (i32.store (i32.const 68) (local.get $text)) (i32.store (i32.const 72) (local.get $len))
            (i32.const 64))
          (func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))
          (func $evaluate (export "flowcell:plugin/expression@0.1.0#evaluate")
            (param $program i32) (param $program_len i32) (param $input i32) (param $input_len i32)
            (param $variables i32) (param $variables_len i32) (result i32) (local $letter i32)
            (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
            (local.set $letter (i32.load8_u (local.get $program)))
            (if (i32.eq (local.get $letter) (i32.const 108)) (then (loop $for_ever (br $for_ever))))          ;; l
            (if (i32.eq (local.get $letter) (i32.const 109)) (then (loop $more                                ;; m
              (br_if $more (i32.ne (i32.const -1) (memory.grow (i32.const 16)))) unreachable)))
            (if (i32.eq (local.get $letter) (i32.const 115)) (then (drop (call $deep (i32.const 0)))))        ;; s
            (if (i32.eq (local.get $letter) (i32.const 101)) (then                                            ;; e
              (return (call $give (i32.const 1) (local.get $program) (local.get $program_len)))))
            (if (i32.eq (local.get $letter) (i32.const 104)) (then                                            ;; h
              (return (call $give (i32.const 0) (i32.const 0) (i32.const 0x7fff0000)))))
            (if (i32.eq (local.get $letter) (i32.const 99)) (then                                             ;; c
              (i32.store8 (i32.const 128) (i32.add (i32.const 48) (global.get $calls)))
              (return (call $give (i32.const 0) (i32.const 128) (i32.const 1)))))
            (call $give (i32.const 0) (local.get $input) (local.get $input_len)))
          (func $check (export "flowcell:plugin/expression@0.1.0#check") (param $program i32) (param $len i32)
            (param i32 i32) (result i32)
            (call $give (i32.eq (i32.load8_u (local.get $program)) (i32.const 101)) (local.get $program) (local.get $len))))"#
    );
    component("expression-plugin", &text)
}

/// A stand-in for the schema guest. The schema's first letter says what happens.
pub(super) fn schema() -> Vec<u8> {
    let text = format!(
        r#"(module $schema
          {ALLOCATOR}
          (func $give (param $failed i32) (param $text i32) (param $len i32) (result i32)
            (i32.store (i32.const 64) (local.get $failed))
            (i32.store (i32.const 68) (local.get $text)) (i32.store (i32.const 72) (local.get $len))
            (i32.const 64))
          (func $validate (export "flowcell:plugin/schema@0.1.0#validate")
            (param $schema i32) (param $schema_len i32) (param $value i32) (param $value_len i32) (param i32 i32)
            (result i32) (local $letter i32)
            (local.set $letter (i32.load8_u (local.get $schema)))
            (if (i32.eq (local.get $letter) (i32.const 108)) (then (loop $for_ever (br $for_ever))))          ;; l
            (if (i32.eq (local.get $letter) (i32.const 119)) (then                                            ;; w
              (i32.store (i32.const 128) (i32.const 0)) (i32.store (i32.const 132) (i32.const 0))
              (i32.store (i32.const 136) (local.get $value)) (i32.store (i32.const 140) (local.get $value_len))
              (return (call $give (i32.const 0) (i32.const 128) (i32.const 1)))))
            (call $give (i32.const 0) (i32.const 0) (i32.const 0)))
          (func (export "flowcell:plugin/schema@0.1.0#check") (param $schema i32) (param $len i32) (result i32)
            (call $give (i32.eq (i32.load8_u (local.get $schema)) (i32.const 101)) (local.get $schema) (local.get $len))))"#
    );
    component("schema-plugin", &text)
}

/// A component of this text with the exports of a world in wit/.
pub(super) fn component(world: &str, text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../wit")).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}
