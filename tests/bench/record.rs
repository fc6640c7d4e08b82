//! The ratios that were recorded, and the comparison with them.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// How much of a recorded ratio must be left.
const TOLERANCE: f64 = 2.0 / 3.0;

#[derive(Default, Serialize, Deserialize)]
pub struct Record {
    /// Requests per second of case A over the proxy's.
    pub a: f64,
    /// Requests per second of case B over the proxy's.
    pub b: f64,
    /// µs of the host's CPU for a request of case A, and of case B.
    #[serde(default)]
    pub a_cpu_us: f64,
    #[serde(default)]
    pub b_cpu_us: f64,
    /// A fresh sandbox's call over a kept instance's.
    pub c: f64,
    pub c_fresh_over_reused_us: f64,
    /// Durable runs per second over SQLite's for the same bytes in the same transactions.
    #[serde(default)]
    pub d: f64,
    /// MiB of memory that a million suspended runs cost.
    #[serde(default)]
    pub e_mib: f64,
    /// Seconds until ten thousand of them that were due at once have ended.
    #[serde(default)]
    pub e_wake_s: f64,
    /// The 99th percentile of nine tenants beside one that spins, over theirs alone.
    #[serde(default)]
    pub g: f64,
}

impl Record {
    fn path() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("bench/recorded.json")
    }

    pub fn write(&self) {
        let text = serde_json::to_string_pretty(self).expect("numbers are JSON");
        std::fs::write(Self::path(), text + "\n").expect("the folder of the benchmark is writable");
    }

    pub fn compare_with_recorded(&self) -> ExitCode {
        let Ok(text) = std::fs::read_to_string(Self::path()) else {
            println!("nothing is recorded: --record records this run");
            return ExitCode::SUCCESS;
        };
        let recorded: Self = serde_json::from_str(&text).expect("recorded.json is one of ours");
        // C is better when it is smaller.
        let held = [
            ("A", self.a / recorded.a),
            ("B", self.b / recorded.b),
            ("C", recorded.c / self.c),
            ("D", self.d / recorded.d),
        ];
        let fallen: Vec<_> = held.iter().filter(|(_, share)| *share < TOLERANCE).collect();
        for (case, share) in &fallen {
            println!("{case} is at {:.0} % of what was recorded", share * 100.0);
        }
        if fallen.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
