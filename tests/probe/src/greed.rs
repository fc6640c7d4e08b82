//! Guests that take too much: time, memory, stack.

use flowcell_sdk::prelude::*;

/// Computes without end.
#[flowcell_sdk::action]
pub fn spin(_input: Value, _ctx: &mut Context) -> Result<u64, Problem> {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}

/// Takes memory without end, and touches it.
#[flowcell_sdk::action]
pub fn grow(_input: Value, _ctx: &mut Context) -> Result<usize, Problem> {
    const BLOCK: usize = 1 << 20;
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    loop {
        blocks.push(std::hint::black_box(vec![0xa5; BLOCK]));
    }
}

/// Calls itself without end.
#[flowcell_sdk::action]
pub fn recurse(_input: Value, _ctx: &mut Context) -> Result<u64, Problem> {
    #[expect(unconditional_recursion, reason = "this is what the host must survive")]
    fn deeper(level: u64) -> u64 {
        let frame = std::hint::black_box([level; 64]);
        deeper(level + 1).wrapping_add(frame[0])
    }
    Ok(deeper(0))
}

/// What is said on the way down.
#[derive(Deserialize, JsonSchema)]
pub struct Trap {
    /// The panic's message.
    #[serde(default)]
    message: Option<String>,
}

/// Panics with a message.
#[flowcell_sdk::action]
pub fn trap(input: Trap, _ctx: &mut Context) -> Result<(), Problem> {
    panic!("{}", input.message.as_deref().unwrap_or("the probe was told to panic"));
}

/// How long.
#[derive(Deserialize, JsonSchema)]
pub struct Sleep {
    /// Milliseconds.
    millis: u64,
    /// MiB that it holds meanwhile.
    #[serde(default)]
    holding: usize,
}

/// Waits inside the sandbox instead of suspending.
#[flowcell_sdk::action]
pub fn sleep_until(input: Sleep, _ctx: &mut Context) -> Result<u64, Problem> {
    let held = std::hint::black_box(vec![0xa5_u8; input.holding << 20]);
    std::thread::sleep(Duration::from_millis(input.millis));
    drop(held);
    Ok(input.millis)
}
