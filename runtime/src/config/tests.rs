//! A text and the configuration or the error that comes of it.

use super::*;

fn message(text: &str) -> String {
    Config::parse(text, "flowcell.toml").expect_err("it is wrong").to_string()
}

const WHOLE: &str = r#"
listen = "127.0.0.1:8081"
memory = "1GiB"
guest_memory = "4GiB"
public_url = "https://hooks.example.com/"
journal = "sqlite:.flowcell/journal.db"

[tls]
cert = "cert.pem"
key = "/etc/key.pem"

[[tenant]]
name = "default"

[[tenant.allow]]
host = "*.Example.com"
methods = ["GET", "POST"]
paths = ["/v1/*"]

[[tenant.allow]]
network = "192.168.1.0/24"

[tenant.quota]
memory = "32MiB"
cpu = "100ms"
step_time = "5m"
concurrent_runs = 10
waiting_runs = 1_000
requests_per_second = 5
egress_bytes_per_minute = "2GiB"
body = 4096
cpu_per_minute = "10s"
journal_bytes_per_minute = "1MiB"
components = "8MiB"
flows = 20
credentials = 30
event_readers = 2

[[tenant]]
name = "b"
allow = [{ host = "api.example.com.", ports = [80, 443] }]
"#;

#[test]
fn every_key_arrives() {
    let config = Config::parse(WHOLE, "etc/flowcell.toml").unwrap();
    assert_eq!(config.listen, "127.0.0.1:8081".parse().unwrap());
    assert_eq!((config.memory, config.guest_memory), (1 << 30, 4 << 30));
    assert_eq!(config.public_url.as_deref(), Some("https://hooks.example.com"));
    assert_eq!(config.journal, Some(JournalUrl::Sqlite(".flowcell/journal.db".into())));
    assert_eq!(config.tls, Some(TlsConfig { cert: "etc/cert.pem".into(), key: "/etc/key.pem".into() }));
    let [first, second] = &config.tenants[..] else { panic!("two tenants") };
    assert_eq!(first.quota.memory, 32 << 20);
    assert_eq!(first.quota.cpu, std::time::Duration::from_millis(100));
    assert_eq!(first.quota.step_time, std::time::Duration::from_secs(300));
    assert_eq!((first.quota.concurrent_runs, first.quota.waiting_runs), (10, 1000));
    assert_eq!((first.quota.requests_per_second, first.quota.body), (5, 4096));
    assert_eq!(first.quota.egress_bytes_per_minute, 2 << 30);
    assert_eq!(first.quota.cpu_per_minute, std::time::Duration::from_secs(10));
    assert_eq!((first.quota.journal_bytes_per_minute, first.quota.components), (1 << 20, 8 << 20));
    assert_eq!((first.quota.flows, first.quota.credentials, first.quota.event_readers), (20, 30, 2));
    let AllowRule::Host(rule) = &first.allow[0] else { panic!("a host rule") };
    assert_eq!(rule.host, HostPattern::Below(".example.com".to_owned()));
    assert_eq!(rule.ports, Ports::These(vec![443]));
    assert_eq!(first.allow[1], AllowRule::Network("192.168.1.0/24".parse().unwrap()));
    assert_eq!(second.quota, Quota::default());
    let AllowRule::Host(rule) = &second.allow[0] else { panic!("a host rule") };
    assert_eq!(
        (rule.host.to_string().as_str(), &rule.methods, &rule.paths),
        ("api.example.com", &None, &None)
    );
}

#[test]
fn an_empty_file_is_the_default_and_the_default_denies_all() {
    let config = Config::parse("", "flowcell.toml").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.tenants.len(), 1);
    assert_eq!(config.tenants[0].name.as_str(), "default");
    assert!(config.tenants[0].allow.is_empty());
    assert!(config.tenant(&TenantId::default_tenant()).is_some());
}

#[test]
fn an_unreadable_file_is_named() {
    let message = Config::read(Path::new("no/such/flowcell.toml")).unwrap_err().to_string();
    assert!(message.starts_with("no/such/flowcell.toml: cannot be read: "), "{message}");
}

/// Puts a rule into a file; its line begins at 4.
fn rule(line: &str) -> String {
    format!("[[tenant]]\nname = \"default\"\n[[tenant.allow]]\n{line}\n")
}

fn quota(line: &str) -> String {
    format!("[[tenant]]\nname = \"default\"\n[tenant.quota]\n{line}\n")
}

#[test]
fn a_mistake_is_told_with_its_place_and_its_remedy() {
    let cases = [
        ("listne = 1", ":1:1: unknown key `listne`: did you mean `listen`?"),
        ("\n  wholly_other = 1", ":2:3: unknown key `wholly_other`: the keys are listen, public_url"),
        ("[tls]\ncrt = \"a\"", ":2:1: unknown key `crt` in `tls`: did you mean `cert`?"),
        ("[[tenant]]\nnmae = \"a\"", ":2:1: unknown key `nmae` in `tenant`: did you mean `name`?"),
        ("[[tenant]]\n[tenant.quota]\nbody = 1", ":1:1: `tenant` has no `name`"),
        ("[[tenant]]\nname = \"a/b\"", ":2:8: `a/b` is not a tenant's name"),
        ("tenant = []", ":1:10: `tenant` is empty"),
        ("listen = 8080", ":1:10: `listen` is integer: it should be text"),
        ("listen = \"8080\"", ":1:10: `8080` is not an address to listen on"),
        ("listen = \"localhost:80\"", "such as \"127.0.0.1:8080\""),
        ("public_url = \"hooks.example.com\"", ":1:14: `public_url` `hooks.example.com` is not a URL"),
        ("public_url = \"ftp://a\"", "neither http nor https"),
        ("public_url = \"https://u@a\"", "user name"),
        ("public_url = \"https://a/?b\"", "a query"),
        ("journal = \"mysql://a\"", "is not a journal"),
        ("journal = \"sqlite:\"", "is not a journal"),
        ("journal = \"postgres://a/b\"", "in SQLite only"),
        ("[tls]\ncert = \"a\"", ":1:1: `tls` has no `key`"),
        ("[tls]\ncert = \"\"\nkey = \"a\"", ":2:8: `cert` is empty"),
        ("listen = ", ":1:"),
        ("listen = \"a\"\nlisten = \"b\"", ":2:1: duplicate key"),
        ("[[tenant]]\nname = \"a\"\n[[tenant]]\nname = \"a\"", ":3:1: two tenants are called `a`"),
    ];
    for (text, expected) in cases {
        let message = message(text);
        assert!(message.starts_with("flowcell.toml:") && message.contains(expected), "{text}\n{message}");
    }
}

#[test]
fn a_bad_rule_stops_the_start() {
    let cases = [
        ("host = \"https://a.example\"", ":4:8: `https://a.example` has a scheme"),
        ("host = \"a.example/v1\"", "write host = \"a.example\" and paths = [\"/v1\"]"),
        ("host = \"a.example:8443\"", "write host = \"a.example\" and ports = [8443]"),
        ("host = \"u@a.example\"", "has a user"),
        ("host = \"a*.example\"", "`*` in the wrong place"),
        ("host = \"*.*.example\"", "`*` in the wrong place"),
        ("host = \"*.10.0.0.1\"", "is not a name"),
        ("host = \"a..example\"", "an empty part"),
        ("host = \"\"", "is not a host name"),
        ("host = \"a b\"", "is not a host name"),
        ("host = \"a.example\"\nmethods = []", ":5:11: `methods` is empty"),
        ("host = \"a.example\"\nmethods = [\"get\"]", ":5:12: `get` is not a method"),
        ("host = \"a.example\"\nmethods = [\"CONNECT\"]", "is not a method"),
        ("host = \"a.example\"\npaths = []", "`paths` is empty"),
        ("host = \"a.example\"\npaths = [\"v1\"]", "it begins with `/`"),
        ("host = \"a.example\"\npaths = [\"/a?b\"]", "has a query"),
        ("host = \"a.example\"\npaths = [\"/a/%2e%2e\"]", "write the path decoded"),
        ("host = \"a.example\"\npaths = [\"/a/../b\"]", "has a dot segment"),
        ("host = \"a.example\"\nports = []", "`ports` is empty"),
        ("host = \"a.example\"\nports = [0]", "0 is not a port"),
        ("host = \"a.example\"\nports = [70000]", "70000 is not a port"),
        ("host = \"a.example\"\nports = [\"443\"]", "a port number"),
        (
            "host = \"a.example\"\nport = [443]",
            ":5:1: unknown key `port` in `tenant.allow`: did you mean `ports`?",
        ),
        ("methods = [\"GET\"]", ":3:1: a rule needs `host` or `network`"),
        ("host = \"a.example\"\nnetwork = \"10.0.0.0/8\"", "either `host` or `network`"),
        ("network = \"10.0.0.0/8\"\nports = [80]", "leave `ports` out"),
        ("network = \"10.0.0.0\"", "such as \"10.0.0.0/32\""),
        ("network = \"lan\"", "such as \"192.168.1.0/24\""),
        ("network = \"10.0.0.0/33\"", "is not a network"),
        ("network = \"192.168.1.5/24\"", "write \"192.168.1.0/24\", or \"192.168.1.5/32\""),
        ("network = \"::ffff:10.0.0.0/104\"", "write the IPv4 network"),
    ];
    for (line, expected) in cases {
        let message = message(&rule(line));
        assert!(message.starts_with("flowcell.toml:") && message.contains(expected), "{line}\n{message}");
    }
}

#[test]
fn a_bad_quota_stops_the_start() {
    let cases = [
        ("memory = \"64MB\"", ":4:10: `64MB` has the unit MB: write KiB, MiB or GiB"),
        ("memory = \"8GiB\"", "more than the 4 GiB"),
        ("memory = -1", "a whole number from 0 upwards"),
        ("cpu = \"250\"", "has no unit"),
        ("cpu = 250", "`cpu` is integer"),
        ("cpu = \"0ms\"", "`cpu` is zero"),
        ("body = \"0MiB\"", "`body` is zero"),
        ("body = 0", "`body` is zero"),
        ("concurrent_runs = 0", "`concurrent_runs` is zero"),
        ("concurrent_runs = \"many\"", "`concurrent_runs` is string: it should be a whole number"),
        ("requests_per_secnod = 5", "did you mean `requests_per_second`?"),
        ("step_time = \"soon\"", "is not a duration"),
    ];
    for (line, expected) in cases {
        let message = message(&quota(line));
        assert!(message.contains(expected), "{line}\n{message}");
    }
}

#[test]
fn a_star_stays_within_its_segment_and_the_last_one_does_not() {
    let cases = [
        ("/v1/*", "/v1/", true),
        ("/v1/*", "/v1/a/b", true),
        ("/v1/*", "/v1", false),
        ("/v1*", "/v1", true),
        ("/v1*", "/v10/a", true),
        ("/v1", "/v1", true),
        ("/v1", "/v1/", false),
        ("/a/*/c", "/a/b/c", true),
        ("/a/*/c", "/a//c", true),
        ("/a/*/c", "/a/b/b/c", false),
        ("/a/x*y*z/c", "/a/x1y2y3z/c", true),
        ("/a/x*y*z/c", "/a/x1y2y3/z/c", false),
        ("/*/b/*", "/a/b/c/d", true),
        ("/*/b/*", "/a/c/b/d", false),
        ("/**", "/a/b", true),
        ("/*.json", "/a.b.json", true),
        ("/*.json", "/a/b.json", false),
    ];
    for (pattern, path, expected) in cases {
        assert_eq!(
            PathPattern::parse(pattern).unwrap().matches(path.as_bytes()),
            expected,
            "{pattern} {path}"
        );
    }
}

#[test]
fn fuzz_whatever_is_configured_is_taken_or_refused_with_its_place() {
    let seeds =
        [WHOLE, "[proxy]\nurl = \"http://p:1\"\nno_proxy = [\"10.0.0.0/8\"]\n[[tenant]]\nname = \"a\"\n"];
    flowcell_fuzz::texts(file!(), &seeds, |text| {
        if let Err(error) = Config::parse(text, "c.toml") {
            let error = error.to_string();
            assert!(error.starts_with("c.toml:"), "{error}");
            assert!(error.len() < 4_000, "{error}");
        }
    });
}
