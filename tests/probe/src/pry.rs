//! A guest that wants to know what it is not told: the value behind a placeholder, and a connection that is another step's.

use flowcell_sdk::prelude::*;

/// What it is after.
#[derive(Deserialize, JsonSchema)]
pub struct Pry {
    /// A server that tells back what it is told.
    url: String,
    /// What the flow hands over in the place of a secret.
    placeholder: String,
    /// What the secret begins with: the guest knows that much, and looks for more.
    prefix: String,
}

/// Sends a placeholder everywhere, and then gives all that its own memory holds behind the prefix.
#[flowcell_sdk::action]
pub fn pry(input: Pry, ctx: &mut Context) -> Result<Vec<String>, Problem> {
    let Pry { url, placeholder, prefix } = input;
    let answer = ctx
        .http()
        .post(&url)
        .query("q", &placeholder)
        .header("x-key", &placeholder)
        .basic("u", &placeholder)
        .json(&json!({ "key": placeholder }))
        .send()?;
    let told = answer.text();
    let refused = ctx.http().get(&url).header(placeholder.clone(), "x").send();
    let said = refused.err().map(|error| error.detail).unwrap_or_default();
    let mut found = behind(&prefix);
    // Kept alive until here.
    found.retain(|_| told.len() + said.len() < usize::MAX);
    Ok(found)
}

/// Whose connection it uses without being told to.
#[derive(Deserialize, JsonSchema)]
pub struct Borrow {
    /// Where to.
    url: String,
    /// Its name.
    name: String,
}

/// Uses a connection that its step does not name.
#[flowcell_sdk::action]
pub fn borrow(input: Borrow, ctx: &mut Context) -> Result<u16, Problem> {
    Ok(ctx.http().get(&input.url).connection(&input.name).send()?.status())
}

/// What stands behind each place of the prefix in the whole memory.
#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code)]
fn behind(prefix: &str) -> Vec<String> {
    let bytes = core::arch::wasm32::memory_size(0) * 65536;
    // From 1, since a slice does not begin at null. Sound enough for a guest whose trade is to misbehave: the memory is there,
    // nothing else runs, and what is read is only looked at.
    let memory = unsafe { core::slice::from_raw_parts(core::ptr::without_provenance::<u8>(1), bytes - 1) };
    let places = memory.windows(prefix.len()).enumerate().filter(|(_, window)| *window == prefix.as_bytes());
    let ends: Vec<usize> = places.map(|(at, _)| at + prefix.len()).take(200).collect();
    ends.into_iter()
        .map(|end| String::from_utf8_lossy(&memory[end..(end + 16).min(memory.len())]).into_owned())
        .collect()
}

/// Natively there is no memory of one's own.
#[cfg(not(target_arch = "wasm32"))]
fn behind(_prefix: &str) -> Vec<String> {
    vec![]
}
