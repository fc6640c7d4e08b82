//! Mistakes that a test plants in the engine, to see that the simulator finds them. In a host there are none.

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "planted by tests only"))]
pub(super) enum Mutation {
    /// What an event causes is begun before the event is in the journal.
    EffectsFirst,
    /// A run is acknowledged before it is in the journal.
    AcknowledgeFirst,
    /// An outcome is journalled and applied a second time.
    OutcomeTwice,
    /// A callback is taken whether the step wants it or not.
    EveryCallback,
    /// Timers are not journalled.
    NoTimers,
    /// What a step left in the world is not undone after a restart.
    NoUndoing,
    /// An attempt that a dead host began is begun again as if it had not been.
    NoInterruption,
    /// What a host writes after its lease has ended is applied.
    NoFencing,
    /// A callback that another host was quicker with is taken again.
    CallbackAgain,
    /// What a host has from another, it takes for its own work.
    NoInheritance,
    /// A host that is at work on a run is not told what others have appended to it.
    NoNews,
    /// A schedule is moved on before its run is in the journal.
    ScheduleFirst,
    /// The end of a run is not told to the schedule that waits for it.
    NoNextTime,
}

/// Whether this mistake is planted in this thread.
#[cfg(not(test))]
pub(super) const fn planted(_: Mutation) -> bool {
    false
}

#[cfg(test)]
pub(super) use tests::{plant, planted};

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::Mutation;

    thread_local!(static PLANTED: Cell<Option<Mutation>> = const { Cell::new(None) });

    impl Mutation {
        pub const ALL: [Self; 13] = [
            Self::EffectsFirst,
            Self::AcknowledgeFirst,
            Self::OutcomeTwice,
            Self::EveryCallback,
            Self::NoTimers,
            Self::NoUndoing,
            Self::NoInterruption,
            Self::NoFencing,
            Self::NoNews,
            Self::CallbackAgain,
            Self::NoInheritance,
            Self::ScheduleFirst,
            Self::NoNextTime,
        ];
    }

    pub fn planted(mutation: Mutation) -> bool {
        PLANTED.get() == Some(mutation)
    }

    /// Until what is returned is dropped.
    pub fn plant(mutation: Option<Mutation>) -> impl Drop {
        struct Planted;
        impl Drop for Planted {
            fn drop(&mut self) {
                PLANTED.set(None);
            }
        }
        PLANTED.set(mutation);
        Planted
    }
}
