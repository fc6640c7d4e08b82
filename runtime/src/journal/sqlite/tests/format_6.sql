-- A journal of format 6, as the hosts of that version made it: what each version of the schema brought, then a row in every
-- table. It is never changed.

-- Version 1
CREATE TABLE tenants (
    tenant TEXT NOT NULL PRIMARY KEY,
    open_runs INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    tenant TEXT NOT NULL,
    run BLOB NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    started_by TEXT,
    status TEXT NOT NULL,
    phase INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    PRIMARY KEY (tenant, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_by_start ON runs (tenant, started_at, run);
CREATE INDEX runs_active ON runs (tenant, run) WHERE phase = 0;

CREATE TABLE entries (
    tenant TEXT NOT NULL,
    run BLOB NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (tenant, run, seq)
) STRICT;

CREATE TABLE timers (
    tenant TEXT NOT NULL,
    run BLOB NOT NULL,
    timer INTEGER NOT NULL,
    due INTEGER NOT NULL,
    PRIMARY KEY (tenant, run, timer)
) STRICT, WITHOUT ROWID;
CREATE INDEX timers_by_due ON timers (due);

CREATE TABLE flows (
    tenant TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    source TEXT NOT NULL,
    installed_at INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    PRIMARY KEY (tenant, namespace, name, version, digest)
) STRICT;

CREATE TABLE triggers (
    tenant TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    token TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    PRIMARY KEY (tenant, namespace, name)
) STRICT;

-- Version 2
CREATE TABLE keys (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Version 3
CREATE TABLE leases (
    lease INTEGER PRIMARY KEY AUTOINCREMENT,
    until INTEGER NOT NULL
) STRICT;
ALTER TABLE runs ADD COLUMN owner INTEGER;
CREATE INDEX runs_ended ON runs (tenant, status, ended_at) WHERE phase = 2;

CREATE TABLE plugins (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    wasm BLOB NOT NULL,
    PRIMARY KEY (tenant, name, version)
) STRICT;

-- Version 4
CREATE TABLE subscriptions (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    uses TEXT NOT NULL,
    config TEXT NOT NULL,
    url TEXT NOT NULL,
    phase INTEGER NOT NULL,
    state BLOB,
    doubtful INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due INTEGER,
    problem TEXT,
    revision INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;

CREATE TABLE schedules (
    tenant TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    schedule TEXT NOT NULL,
    due INTEGER,
    run BLOB,
    revision INTEGER NOT NULL,
    PRIMARY KEY (tenant, namespace, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX schedules_by_due ON schedules (due) WHERE due IS NOT NULL;

-- Version 5
CREATE TABLE vault (
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, name)
) STRICT;

CREATE TABLE originals (
    tenant TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    key BLOB NOT NULL,
    run BLOB NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (tenant, trigger_name, key)
) STRICT;
CREATE INDEX originals_by_end ON originals (until);

-- Version 6
CREATE TABLE tokens (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    role TEXT,
    origin TEXT,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    status INTEGER,
    detail TEXT,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_by_actor ON audit (tenant, actor, id);
CREATE INDEX audit_by_action ON audit (tenant, action, id);
CREATE INDEX audit_denied ON audit (tenant, id) WHERE status IN (401, 403);

PRAGMA application_id = 0x464c4f57;
PRAGMA user_version = 6;

INSERT INTO tenants VALUES ('acme', 1);
INSERT INTO runs VALUES ('acme', x'00000000000000000000000000000001', 'shop', 'intake', '1.0.0', 'd1', 'shop/orders-in', 'waiting', 1, 1000, NULL, NULL);
INSERT INTO runs VALUES ('acme', x'00000000000000000000000000000002', 'shop', 'intake', '1.0.0', 'd1', NULL, 'completed', 2, 2000, 3000, NULL);
INSERT INTO entries VALUES ('acme', x'00000000000000000000000000000001', 0, 1000, '{"n":0}');
INSERT INTO entries VALUES ('acme', x'00000000000000000000000000000001', 1, 1001, '{"n":1}');
INSERT INTO timers VALUES ('acme', x'00000000000000000000000000000001', 3, 90000);
INSERT INTO leases (until) VALUES (5000);
INSERT INTO keys VALUES ('callbacks', x'0707070707070707070707070707070707070707070707070707070707070707');
INSERT INTO originals VALUES ('acme', 'shop/orders-in', x'0101010101010101010101010101010101010101010101010101010101010101', x'00000000000000000000000000000001', 90000);
INSERT INTO flows VALUES ('acme', 'shop', 'intake', '1.0.0', 'd1', '{"document":1}', 10, 0);
INSERT INTO flows VALUES ('acme', 'shop', 'intake', '0.9.0', 'd0', '{"document":0}', 5, 1);
INSERT INTO triggers VALUES ('acme', 'shop', 'orders-in', '{"trigger":1}', 'token-1', 1);
INSERT INTO plugins VALUES ('acme', 'shout', '1.0.0', x'0061736d');
INSERT INTO subscriptions VALUES ('acme', '0a', 'shop', 'orders-in', 'webhook:1.0.0', '{}', 'https://hooks.example.com/hooks/t', 2, x'00ff', 1, 4, 7000, '{"title":"down"}', 5);
INSERT INTO subscriptions VALUES ('acme', '0b', 'shop', 'orders-in', 'webhook:1.0.0', '{}', 'https://hooks.example.com/hooks/t', 0, NULL, 0, 0, NULL, NULL, 0);
INSERT INTO schedules VALUES ('acme', 'shop', 'intake', '{"every":"PT1H"}', 8000, NULL, 2);
INSERT INTO schedules VALUES ('acme', 'shop', 'report', '{"after":"PT1H"}', NULL, x'00000000000000000000000000000001', 0);
INSERT INTO vault VALUES ('acme', 'connection', 'crm', x'0102', 11);
INSERT INTO vault VALUES ('acme', 'secret', 'key', x'0304', 12);
INSERT INTO tokens VALUES ('acme', 'ci', x'0202020202020202020202020202020202020202020202020202020202020202', 'editor', 13, 'operator', 14000);
INSERT INTO tokens VALUES ('', 'root', x'0303030303030303030303030303030303030303030303030303030303030303', 'operator', 15, 'local', NULL);
INSERT INTO audit VALUES ('acme', '00000000000000000000000000000001', 16, 'ci', 'editor', '192.0.2.1', 'PutFlow', 'shop/intake', 200, 'done');
INSERT INTO audit VALUES ('acme', '00000000000000000000000000000002', 17, 'nobody', NULL, NULL, 'RemoveFlow', 'shop/intake', NULL, NULL);
