//! Files of earlier versions: each opens with everything that is in it, and becomes what a new one is.

use super::*;
use crate::journal::{
    AuditQuery, AuditRow, FlowRow, OriginalRow, PluginRow, Role, RunQuery, ScheduleRow, Storage,
    SubscriptionPhase, SubscriptionRow, TokenRow, TriggerRow, VaultKind, VaultRow,
};

const FORMAT_6: &str = include_str!("format_6.sql");

/// A file as a host of before has left it.
fn left_by(format: &str) -> (Folder, SqliteStorage) {
    let folder = Folder::new();
    let path = folder.path("journal.db");
    Connection::open(&path).unwrap().execute_batch(format).unwrap();
    let store = SqliteStorage::open(&path).unwrap();
    (folder, store)
}

fn acme() -> TenantId {
    TenantId::from("acme")
}

fn first() -> RunKey {
    let mut run = [0; 16];
    run[15] = 1;
    RunKey { tenant: acme(), run: RunId::from_bytes(run) }
}

fn at_ms(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

#[test]
fn runs_of_an_earlier_format_are_read_and_go_on() {
    let (_folder, store) = left_by(FORMAT_6);
    let (row, entries) = store.log(&first()).unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.phase, row.started_at), ("waiting", Phase::Parked, at_ms(1000)));
    assert_eq!(row.flow.to_string(), "shop/intake:1.0.0");
    assert_eq!(
        entries.iter().map(|entry| entry.body.as_str()).collect::<Vec<_>>(),
        [r#"{"n":0}"#, r#"{"n":1}"#]
    );
    let all = store.runs(&acme(), &RunQuery { limit: 9, ..RunQuery::default() }).unwrap().items;
    assert_eq!(all.iter().map(|row| row.ended_at).collect::<Vec<_>>(), [Some(at_ms(3000)), None]);
    assert_eq!(store.open_runs(&acme()).unwrap(), 1);
    let due = store.due(NOBODY, at_ms(90_000), 9).unwrap();
    assert_eq!(due.iter().map(|timer| (timer.timer, timer.due)).collect::<Vec<_>>(), [(3, at_ms(90_000))]);
    let original = store.original(&acme(), "shop/orders-in", &[1; 32], at_ms(1)).unwrap();
    assert_eq!(original, Some(first().run));
    assert_eq!(store.key("callbacks").unwrap(), [7; 32]);
    assert!(store.begin_lease(at(9)).unwrap().0 > 1);
    let again = OriginalRow {
        tenant: acme(),
        trigger: "shop/orders-in".into(),
        key: [1; 32],
        run: RunId::mint(),
        until: at_ms(99_000),
    };
    let taken = commit(&store, vec![Write::Remember { row: again, at: at_ms(1) }]);
    assert!(matches!(taken, Err(StorageError::Conflict(_))), "{taken:?}");
    commit(&store, vec![append(&first(), 2..3), status(&first(), "completed", Phase::Ended)]).unwrap();
}

#[test]
fn small_tables_of_an_earlier_format_are_read_and_changed() {
    let (_folder, store) = left_by(FORMAT_6);
    let store: &dyn Storage = &store;
    let flow = store.rows(FlowRow::installed()).unwrap().remove(0);
    assert_eq!((flow.id.version.as_str(), flow.installed_at), ("1.0.0", at_ms(10)));
    let removed =
        FlowRow { removed: true, source: r#"{"document":0}"#.into(), installed_at: at_ms(5), ..flow };
    let id = crate::id::FlowId { version: "0.9.0".into(), digest: "d0".into(), ..removed.id.clone() };
    let kept = store.row::<FlowRow>((acme(), id.clone())).unwrap();
    assert_eq!(kept, Some(FlowRow { id, ..removed }));

    let trigger = TriggerRow {
        tenant: acme(),
        namespace: "shop".into(),
        name: "orders-in".into(),
        source: r#"{"trigger":1}"#.into(),
        token: "token-1".into(),
        enabled: true,
    };
    assert_eq!(store.list::<TriggerRow>().unwrap(), [trigger]);
    let plugin = PluginRow {
        tenant: acme(),
        name: "shout".into(),
        version: "1.0.0".into(),
        wasm: b"\0asm"[..].into(),
    };
    assert_eq!(store.list::<PluginRow>().unwrap(), [plugin]);

    let [ending, fresh]: [SubscriptionRow; 2] = store.list().unwrap().try_into().unwrap();
    let phases = (SubscriptionPhase::Unsubscribing, SubscriptionPhase::Subscribing);
    assert_eq!((ending.phase, fresh.phase), phases);
    assert_eq!((ending.state.as_deref(), fresh.state.as_deref()), (Some(&b"\0\xff"[..]), None));
    assert_eq!((ending.doubtful, ending.attempts, ending.due), (true, 4, Some(at_ms(7000))));
    assert_eq!((ending.problem.as_deref(), ending.revision), (Some(r#"{"title":"down"}"#), 5));
    let next = SubscriptionRow { revision: 6, ..ending };
    commit(store, vec![Write::put(next.clone())]).unwrap();
    assert_eq!(store.list::<SubscriptionRow>().unwrap(), [next, fresh]);

    let [intake, report]: [ScheduleRow; 2] = store.list().unwrap().try_into().unwrap();
    assert_eq!((intake.due, intake.run, intake.revision), (Some(at_ms(8000)), None, 2));
    assert_eq!((report.due, report.run, report.revision), (None, Some(first().run), 0));
    assert_eq!(store.rows(ScheduleRow::next(9)).unwrap(), [intake]);
}

#[test]
fn what_gives_access_in_an_earlier_format_is_read() {
    let (_folder, store) = left_by(FORMAT_6);
    let store: &dyn Storage = &store;
    let vault = |kind, name: &str, sealed: &'static [u8], ms| VaultRow {
        tenant: acme(),
        kind,
        name: name.into(),
        sealed: sealed.into(),
        updated_at: at_ms(ms),
    };
    let secret = vault(VaultKind::Secret, "key", &[3, 4], 12);
    let connection = vault(VaultKind::Connection, "crm", &[1, 2], 11);
    assert_eq!(store.list::<VaultRow>().unwrap(), [secret, connection]);

    let root = TokenRow {
        tenant: None,
        name: "root".into(),
        digest: [3; 32],
        role: Role::Operator,
        created_at: at_ms(15),
        created_by: "local".into(),
        expires_at: None,
    };
    assert_eq!(store.first(TokenRow::with_digest([3; 32])).unwrap(), Some(root));
    let editor = store.first(TokenRow::with_digest([2; 32])).unwrap().unwrap();
    assert_eq!(
        (editor.tenant, editor.role, editor.expires_at),
        (Some(acme()), Role::Editor, Some(at_ms(14_000)))
    );

    let query = AuditQuery { limit: 9, ..AuditQuery::default() };
    let [second, first]: [AuditRow; 2] = store.audit(acme(), query).unwrap().items.try_into().unwrap();
    assert_eq!((second.at, second.role, second.origin, second.status), (at_ms(17), None, None, None));
    assert_eq!((first.role, first.origin.as_deref()), (Some(Role::Editor), Some("192.0.2.1")));
    assert_eq!((first.status, first.detail.as_deref()), (Some(200), Some("done")));
}

#[test]
fn a_file_of_an_earlier_format_becomes_what_a_new_one_is() {
    let (_folder, old) = left_by(FORMAT_6);
    let folder = Folder::new();
    let new = SqliteStorage::open(&folder.path("journal.db")).unwrap();
    assert_eq!(made(&old), made(&new));
}

/// Every table and index as SQL, in order of their names, and without what only an editor sees.
fn made(store: &SqliteStorage) -> Vec<String> {
    let read = |connection: &Connection| {
        connection
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name")?
            .query_map([], |row| row.get::<_, String>(0))?
            .collect::<Result<Vec<_>, _>>()
    };
    let words = |sql: &String| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let bare = |sql: String| words(&sql).replace("( ", "(").replace(" )", ")");
    store.read(read).unwrap().into_iter().map(bare).collect()
}

#[test]
fn a_cell_that_no_host_has_written_is_called_damage() {
    let (folder, store) = left_by(FORMAT_6);
    let role = "UPDATE tokens SET role = 'king' WHERE name = 'root'";
    Connection::open(folder.path("journal.db")).unwrap().execute_batch(role).unwrap();
    let error = (&store as &dyn Storage).rows(TokenRow::of(None)).unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("the column `role` of the table `tokens`"), "{error}");
}
