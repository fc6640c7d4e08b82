//! When a flow starts by itself: `schedule` of a document, with `every`, `cron` or `after`.
//!
//! Times that passed while no host was there are made up for by one run, not by one for each: the next time is always in
//! the future. `cron` is Vixie's, with a field for the second before the others if need be, in the time zone that `document.metadata.timezone` names, else in UTC.

use std::cmp::Ordering;
use std::time::Duration;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Year};
use croner::time::{CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ZonedDateTime};
use serde_json::json;

use super::node::Node;
use super::reader::{Fields, Keys, Reader};

/// No flow starts more often by itself: it would start before the journal has told of the last time.
const SHORTEST: Duration = Duration::from_millis(100);

/// When a flow starts by itself.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    when: When,
    /// What the document says of it, as JSON text: another text is another schedule.
    pub source: String,
}

#[derive(Clone, Debug)]
enum When {
    /// So often, whether the run before is over or not.
    Every(Duration),
    /// At these times.
    Cron(Box<Cron>, TimeZone),
    /// So long after the end of the run before.
    After(Duration),
}

impl Schedule {
    /// The first time, for a flow that is deployed at `now`; none for times that will not come.
    pub fn first(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Every(interval) => now.checked_add(*interval).ok(),
            When::Cron(cron, zone) => next_match(cron, zone, now),
            When::After(_) => Some(now),
        }
    }

    /// The time that follows `due`, when it is `now`. None: the run that starts now must end first, or no time is left.
    pub fn next(&self, due: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Every(interval) => {
                let (passed, interval) =
                    (now.duration_since(due).as_millis().max(0), interval.as_millis() as i128);
                let beats = i64::try_from((passed / interval + 1) * interval).ok()?;
                due.checked_add(SignedDuration::from_millis(beats)).ok()
            }
            When::Cron(cron, zone) => next_match(cron, zone, now.max(due)),
            When::After(_) => None,
        }
    }

    /// The latest that the next time can be, when it is `now`; none for times that will not come.
    pub fn latest(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Every(interval) | When::After(interval) => now.checked_add(*interval).ok(),
            When::Cron(cron, zone) => next_match(cron, zone, now),
        }
    }

    /// When the run that this schedule has started is over at `ended`: the next time, where it counts from there.
    pub fn after(&self, ended: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::After(pause) => ended.checked_add(*pause).ok(),
            When::Every(_) | When::Cron(..) => None,
        }
    }

    /// Whether the next run starts after the end of the last one.
    pub fn waits_for_the_end(&self) -> bool {
        matches!(self.when, When::After(_))
    }
}

/// Reads `schedule`; `timezone` is what the metadata of the document say.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, timezone: Option<&Node>) -> Option<Schedule> {
    let keys =
        Keys { known: &["every", "cron", "after"], later: &[("on", "start runs with a trigger document")] };
    let fields = reader.map(node, "`schedule`", &keys)?;
    let zone = match timezone {
        Some(node) => zone(reader, node)?,
        None => TimeZone::UTC,
    };
    let when = match (fields.get("every"), fields.get("cron"), fields.get("after")) {
        (Some(_), None, None) => When::Every(interval(reader, fields, "every")?),
        (None, Some(cron), None) => When::Cron(Box::new(self::cron(reader, cron)?), zone.clone()),
        (None, None, Some(_)) => When::After(interval(reader, fields, "after")?),
        _ => {
            reader.error(node.at, "`schedule` has one of `every`, `cron` and `after`");
            return None;
        }
    };
    let name = zone.iana_name().unwrap_or("UTC");
    let source = match &when {
        When::Cron(..) => json!({ "schedule": node.to_value(), "timezone": name }),
        When::Every(_) | When::After(_) => json!({ "schedule": node.to_value() }),
    };
    Some(Schedule { when, source: source.to_string() })
}

fn interval(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str) -> Option<Duration> {
    let node = fields.get(key)?;
    let interval = reader.duration(node, &format!("`{key}`"))?;
    if interval < SHORTEST {
        reader
            .error(node.at, format!("`{key}` is shorter than a tenth of a second: give a time such as PT1M"));
        return None;
    }
    Some(interval)
}

fn cron(reader: &mut Reader<'_>, node: &Node) -> Option<Cron> {
    let text = reader.text(node, "`cron`")?;
    let mut wrong = |reason: &str| {
        let example = "it has five fields (minute, hour, day of the month, month, day of the week), or a second before them, as in `0 9 * * MON-FRI`";
        reader.error(node.at, format!("`{text}` is no cron expression: {reason}; {example}"));
        None
    };
    // Not the year, which comes once.
    match CronParser::builder().year(Year::Disallowed).build().parse(text) {
        Err(error) => wrong(error.to_string().trim_end_matches('.')),
        // Any year of the calendar will do, leap years among the next ones.
        Ok(cron) if next_match(&cron, &TimeZone::UTC, Timestamp::UNIX_EPOCH).is_none() => {
            wrong("there is no such day")
        }
        Ok(cron) => Some(cron),
    }
}

fn zone(reader: &mut Reader<'_>, node: &Node) -> Option<TimeZone> {
    let name = reader.text(node, "`timezone`")?;
    match TimeZone::get(name) {
        Ok(zone) => Some(zone),
        Err(_) => {
            reader
                .error(node.at, format!("`{name}` is no time zone: write one such as Europe/Berlin or UTC"));
            None
        }
    }
}

fn next_match(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let next = cron.find_next_occurrence(&Local(after.to_zoned_datetime(zone.clone())), false).ok()?;
    Some(next.0.timestamp())
}

/// A time in its zone, as croner wants to see it.
#[derive(Clone)]
struct Local(ZonedDateTime);

impl CronDateTime for Local {
    fn to_civil(&self) -> CivilDateTime {
        let civil = self.0.datetime();
        let unsigned = |part: i8| u32::try_from(part).unwrap_or_default();
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(
                i32::from(civil.year()),
                unsigned(civil.month()),
                unsigned(civil.day()),
            ),
            CivilTime::from_parts_unchecked(
                unsigned(civil.hour()),
                unsigned(civil.minute()),
                unsigned(civil.second()),
            ),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        Weekday::from_days_from_sunday(self.0.weekday().to_sunday_zero_offset().unsigned_abs().into())
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let small = |part: u32| i8::try_from(part).map_err(|_| CronError::InvalidDate);
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let (hour, minute, second) = (small(civil.hour())?, small(civil.minute())?, small(civil.second())?);
        let civil = jiff::civil::DateTime::new(
            year,
            small(civil.month())?,
            small(civil.day())?,
            hour,
            minute,
            second,
            0,
        )
        .map_err(|_| CronError::InvalidDate)?;
        let zoned = self.0.time_zone().to_ambiguous_zoned_datetime(civil);
        let fits = |zoned: Result<ZonedDateTime, _>| {
            zoned.map(Local).map_err(|_: jiff::Error| CronError::InvalidTime)
        };
        Ok(match zoned.offset() {
            AmbiguousOffset::Unambiguous { .. } => Resolution::Single(fits(zoned.unambiguous())?),
            AmbiguousOffset::Gap { .. } => Resolution::Gap,
            AmbiguousOffset::Fold { .. } => {
                Resolution::Ambiguous(fits(zoned.clone().earlier())?, fits(zoned.later())?)
            }
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Local)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.timestamp().cmp(&other.0.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Document, Flow, read};
    use super::*;

    fn flow(keys: &str) -> Result<std::sync::Arc<Flow>, Vec<String>> {
        let text = format!(
            "document: {{ dsl: 1.0.3, namespace: d, name: f, version: 1.0.0{keys}\ndo: [ {{ a: {{ set: {{ x: 1 }} }} }} ]\n"
        );
        match read(&text, "f.yaml") {
            Ok(mut documents) => match documents.remove(0) {
                Document::Flow(flow) => Ok(flow),
                Document::Trigger(_) => panic!("a flow"),
            },
            Err(findings) => Err(findings.iter().map(ToString::to_string).collect()),
        }
    }

    fn schedule(keys: &str) -> Schedule {
        flow(keys).unwrap().schedule.clone().expect("it has a schedule")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn every_keeps_its_beat_and_makes_up_for_a_pause_once() {
        let every = schedule(" }\nschedule: { every: { seconds: 10 } }");
        let start = at("2026-01-01T00:00:00Z");
        assert_eq!(every.first(start), Some(at("2026-01-01T00:00:10Z")));
        let due = at("2026-01-01T00:00:10Z");
        for (now, next) in [
            ("2026-01-01T00:00:10.004Z", "2026-01-01T00:00:20Z"),
            ("2026-01-01T00:00:20Z", "2026-01-01T00:00:30Z"),
            ("2026-01-01T01:00:03Z", "2026-01-01T01:00:10Z"),
            // A clock that was set back.
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:20Z"),
        ] {
            assert_eq!(every.next(due, at(now)), Some(at(next)), "{now}");
        }
        assert_eq!(every.after(due), None);
    }

    #[test]
    fn no_next_time_is_further_away_than_the_schedule_says() {
        let now = at("2026-01-01T00:00:00Z");
        for (keys, latest) in [
            (" }\nschedule: { every: PT1H }", "2026-01-01T01:00:00Z"),
            (" }\nschedule: { after: PT2H }", "2026-01-01T02:00:00Z"),
            (" }\nschedule: { cron: '30 3 * * *' }", "2026-01-01T03:30:00Z"),
        ] {
            assert_eq!(schedule(keys).latest(now), Some(at(latest)), "{keys}");
        }
    }

    #[test]
    fn after_counts_from_the_end_of_the_run_before() {
        let after = schedule(" }\nschedule: { after: PT1M }");
        let now = at("2026-01-01T00:00:00Z");
        assert_eq!((after.first(now), after.next(now, now)), (Some(now), None));
        assert_eq!(after.after(now), Some(at("2026-01-01T00:01:00Z")));
        assert!(after.waits_for_the_end());
    }

    #[test]
    fn cron_is_read_in_its_time_zone() {
        let now = at("2026-03-27T12:00:00Z");
        for (keys, expected) in [
            (" }\nschedule: { cron: '0 0 * * *' }", "2026-03-28T00:00:00Z"),
            (" }\nschedule: { cron: '*/5 * * * *' }", "2026-03-27T12:05:00Z"),
            (" }\nschedule: { cron: '@hourly' }", "2026-03-27T13:00:00Z"),
            (" }\nschedule: { cron: '0 9 * * MON-FRI' }", "2026-03-30T09:00:00Z"),
            (" }\nschedule: { cron: '0 0 29 2 *' }", "2028-02-29T00:00:00Z"),
            (
                ", metadata: { timezone: Europe/Berlin } }\nschedule: { cron: '0 9 * * *' }",
                "2026-03-28T08:00:00Z",
            ),
            (
                ", metadata: { timezone: Asia/Kathmandu } }\nschedule: { cron: '0 9 * * *' }",
                "2026-03-28T03:15:00Z",
            ),
        ] {
            assert_eq!(schedule(keys).first(now), Some(at(expected)), "{keys}");
        }
    }

    #[test]
    fn a_time_that_a_clock_change_skips_or_repeats_starts_one_run() {
        let berlin = schedule(", metadata: { timezone: Europe/Berlin } }\nschedule: { cron: '30 2 * * *' }");
        let count = |from: &str, until: &str| {
            let (mut now, until, mut starts) = (at(from), at(until), 0);
            while let Some(next) = berlin.next(now, now).filter(|next| *next < until) {
                (now, starts) = (next, starts + 1);
            }
            starts
        };
        // On 29 March 2:30 does not exist, on 25 October it comes twice.
        assert_eq!(count("2026-03-28T12:00:00Z", "2026-03-31T12:00:00Z"), 3);
        assert_eq!(count("2026-10-24T12:00:00Z", "2026-10-27T12:00:00Z"), 3);
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_its_place() {
        let wrong = |keys: &str| flow(keys).unwrap_err().join("\n");
        for (keys, says) in [
            (" }\nschedule: {}", "f.yaml:2:11: `schedule` has one of `every`, `cron` and `after`"),
            (" }\nschedule: { every: PT1M, after: PT1M }", "f.yaml:2:11: `schedule` has one of"),
            (
                " }\nschedule: { evry: PT1M }",
                "f.yaml:2:13: unknown key `evry` in `schedule`: did you mean `every`?",
            ),
            (
                " }\nschedule: { on: {} }",
                "f.yaml:2:13: `on` in `schedule` is not supported yet: start runs with a trigger document",
            ),
            (" }\nschedule: { every: PT0S }", "f.yaml:2:20: `every` is shorter than a tenth of a second"),
            (" }\nschedule: { every: 5 }", "f.yaml:2:20: `every`: `5` is no duration"),
            (" }\nschedule: { cron: 'daily' }", "f.yaml:2:19: `daily` is no cron expression"),
            (" }\nschedule: { cron: '99 * * * *' }", "f.yaml:2:19: `99 * * * *` is no cron expression"),
            (" }\nschedule: { cron: '0 0 31 2 *' }", "there is no such day"),
            (" }\nschedule: { cron: '0 0 0 1 1 * 2020' }", "is no cron expression"),
            (
                ", metadata: { timezone: Mars/Olympus } }\nschedule: { cron: '@daily' }",
                "f.yaml:1:86: `Mars/Olympus` is no time zone",
            ),
        ] {
            let found = wrong(keys);
            assert!(found.contains(says), "{keys}: {found}");
        }
    }

    #[test]
    fn another_time_is_another_schedule_and_another_text_of_the_flow_is_not() {
        let source = |keys: &str| schedule(keys).source;
        let minute = source(" }\nschedule: { every: PT1M }");
        assert_eq!(minute, source(", title: x }\nschedule: { every: PT1M }"));
        assert_ne!(minute, source(" }\nschedule: { every: PT2M }"));
        let cron = " }\nschedule: { cron: '@daily' }";
        assert_ne!(source(cron), source(&format!(", metadata: {{ timezone: Europe/Berlin }}{cron}")));
    }
}
