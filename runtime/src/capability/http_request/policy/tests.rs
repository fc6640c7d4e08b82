//! Rules and requests, and what becomes of them.

use std::net::IpAddr;

use url::{Host, Url};

use super::super::target::Target;
use super::*;
use crate::config::Config;

/// Rules as they stand in a file.
fn rules(lines: &str) -> Vec<AllowRule> {
    let text = format!("[[tenant]]\nname = \"default\"\n{}", lines.replace("- ", "[[tenant.allow]]\n"));
    Config::parse(&text, "flowcell.toml").unwrap().tenants.remove(0).allow
}

fn policy(lines: &str) -> Policy {
    Policy::new(&rules(lines), &[])
}

fn admit(policy: &Policy, method: &Method, url: &str) -> Result<Access, Denial> {
    let url = Url::parse(url).unwrap();
    policy.admit(&Subject {
        https: url.scheme() == "https",
        host: url.host().unwrap(),
        port: url.port_or_known_default().unwrap(),
        method,
        path: url.path(),
    })
}

fn judge(policy: &Policy, access: Access, address: &str) -> Result<Ground, Denial> {
    let ip: IpAddr = address.parse().unwrap();
    policy.judge(SocketAddr::new(ip, 443), access).map(|(_, ground)| ground)
}

const ANY: Access = Access { rule: Some(0), own_hooks: false };

#[test]
fn nothing_is_allowed_without_a_rule() {
    let denial = admit(&policy(""), &Method::GET, "https://api.example.com/v1?x=1").unwrap_err();
    assert_eq!(
        denial.to_string(),
        "blocked: no rule allows GET https://api.example.com/v1; to allow it add  [[tenant.allow]] \
         host = \"api.example.com\""
    );
}

#[test]
fn an_address_that_no_host_rule_opens_gets_the_line_of_a_network() {
    for (url, network) in [
        ("http://127.0.0.1:9000/x", "127.0.0.1/32"),
        ("https://10.1.2.3/", "10.1.2.3/32"),
        ("http://169.254.169.254/latest", "169.254.169.254/32"),
        ("http://[::1]/", "::1/128"),
        ("http://[::ffff:127.0.0.1]/", "127.0.0.1/32"),
    ] {
        let denial = admit(&policy(""), &Method::GET, url).unwrap_err();
        assert_eq!(denial.add, Some(format!("[[tenant.allow]]\nnetwork = \"{network}\"")), "{url}");
        let opened = policy(&format!("- network = \"{network}\""));
        assert!(
            judge(&opened, admit(&opened, &Method::GET, url).unwrap(), network.split('/').next().unwrap())
                .is_ok()
        );
    }
}

#[test]
fn a_host_rule_is_about_name_port_method_and_path() {
    let policy = policy(
        "- host = \"api.example.com\"\nmethods = [\"GET\", \"POST\"]\npaths = [\"/v1/*\"]\n\
         - host = \"*.wild.example\"\nports = [8443, 80]\n\
         - host = \"93.184.216.34\"\n\
         - host = \"[2606:4700::1111]\"",
    );
    let allowed = [
        ("GET", "https://api.example.com/v1/x"),
        ("POST", "https://API.example.com:443/v1/"),
        ("GET", "https://api.example.com/v2/../v1/x"),
        ("DELETE", "https://a.wild.example:8443/any"),
        ("GET", "http://a.b.wild.example/"),
        ("GET", "https://93.184.216.34/"),
        ("GET", "https://1572395042/"),
        ("GET", "https://[2606:4700:0::1111]/"),
    ];
    for (method, url) in allowed {
        assert!(admit(&policy, &method.parse().unwrap(), url).is_ok(), "{method} {url}");
    }
    let denied = [
        ("PUT", "https://api.example.com/v1/x", "allows GET, POST"),
        ("GET", "https://api.example.com/v1", "allows the paths /v1/*"),
        ("GET", "https://api.example.com/v1/../admin", "allows the paths"),
        ("GET", "https://api.example.com/v1/%2e%2e/admin", "allows the paths"),
        ("GET", "https://api.example.com/v1/..%2fadmin", "allows the paths"),
        ("GET", "http://api.example.com/v1/x", "allows https on port 443"),
        ("GET", "http://api.example.com:443/v1/x", "allows https on port 443"),
        ("GET", "https://api.example.com:8443/v1/x", "allows https on port 443"),
        ("GET", "https://api.example.com.evil.example/v1/x", "no rule allows"),
        ("GET", "https://evil-api.example.com/v1/x", "no rule allows"),
        ("GET", "https://example.com/v1/x", "no rule allows"),
        ("GET", "https://wild.example:8443/", "no rule allows"),
        ("GET", "https://evilwild.example:8443/", "no rule allows"),
        ("GET", "https://a.wild.example/", "allows the ports 8443, 80"),
        ("GET", "https://93.184.216.35/", "no rule allows"),
    ];
    for (method, url, reason) in denied {
        let denial = admit(&policy, &method.parse().unwrap(), url).unwrap_err();
        assert!(denial.reason.contains(reason), "{method} {url}: {denial}");
    }
}

#[test]
fn a_star_allows_every_name() {
    let policy = policy("- host = \"*\"\nports = [80]");
    for url in ["http://a.example/", "http://8.8.8.8/", "http://[2606::1]/"] {
        assert!(admit(&policy, &Method::GET, url).is_ok(), "{url}");
    }
}

#[test]
fn the_lines_that_a_denial_proposes_do_allow_it() {
    let first = "- host = \"api.example.com\"\nmethods = [\"GET\"]\npaths = [\"/v1/*\"]\n";
    for (method, url) in [
        ("POST", "https://api.example.com/v1/x"),
        ("GET", "https://api.example.com/v2/a-b"),
        ("GET", "http://api.example.com:8080/v1/x"),
        ("GET", "http://other.example/"),
        ("GET", "https://8.8.8.8/"),
        ("GET", "https://[2606::1]:9/"),
    ] {
        let method = method.parse().unwrap();
        let add = admit(&policy(first), &method, url).unwrap_err().add.unwrap();
        assert!(admit(&policy(&format!("{first}{add}")), &method, url).is_ok(), "{url}: {add}");
    }
    let denial = judge(&policy("- host = \"*\""), ANY, "10.1.2.3").unwrap_err();
    assert!(judge(&policy(&denial.add.unwrap()), ANY, "10.1.2.3").is_ok());
}

#[test]
fn a_host_rule_never_opens_what_is_not_public() {
    let policy = policy("- host = \"*\"");
    for ip in
        ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0", "fd00:ec2::254"]
    {
        let denial = judge(&policy, ANY, ip).unwrap_err();
        assert!(denial.add.is_some_and(|add| add.contains("network = ")), "{ip}");
    }
    assert_eq!(judge(&policy, ANY, "93.184.216.34"), Ok(Ground::Public));
    assert_eq!(
        judge(&policy, ANY, "127.0.0.1").unwrap_err().to_string(),
        "blocked: 127.0.0.1 is a loopback address; to allow it add  [[tenant.allow]] network = \"127.0.0.1/32\""
    );
}

#[test]
fn a_network_rule_opens_its_addresses_under_any_name_and_nothing_else() {
    let policy = policy("- network = \"10.0.0.0/8\"\n- network = \"fd00::/8\"");
    let access = admit(&policy, &Method::DELETE, "http://anything.example:99/any").unwrap();
    assert_eq!(access.rule, None);
    for ip in ["10.9.8.7", "::ffff:10.9.8.7", "fd00::1"] {
        assert!(matches!(judge(&policy, access, ip), Ok(Ground::Network(_))), "{ip}");
    }
    for ip in ["93.184.216.34", "127.0.0.1", "192.168.0.1", "64:ff9b::a09:807", "2002:a09:807::"] {
        assert!(judge(&policy, access, ip).is_err(), "{ip}");
    }
}

#[test]
fn the_address_to_dial_is_the_judged_one() {
    let policy = policy("- network = \"127.0.0.0/8\"");
    let (dial, _) = policy.judge("[::ffff:127.0.0.1]:80".parse().unwrap(), ANY).unwrap();
    assert_eq!(dial, "127.0.0.1:80".parse().unwrap());
}

#[test]
fn own_listeners_are_closed_but_for_hooks_in_a_granted_network() {
    let own = "127.0.0.1:8080".parse().unwrap();
    let open = Policy::new(&rules("- network = \"127.0.0.0/8\""), &[own]);
    let closed = Policy::new(&rules("- host = \"*\"\nports = [8080]"), &[own]);
    let reach = |policy: &Policy, path: &str| {
        let access = admit(policy, &Method::POST, &format!("http://localhost:8080{path}"))?;
        policy.judge(own, access).map(|_| ())
    };
    for path in ["/hooks/abc", "/callbacks/abc"] {
        assert_eq!(reach(&open, path), Ok(()), "{path}");
        assert!(reach(&closed, path).is_err(), "{path}");
    }
    for path in [
        "/api/v1/flows",
        "/metrics",
        "/",
        "/hooks",
        "/hooks/../api/v1/flows",
        "/hooks/%2e%2e/api",
        "/hooks/..%2fapi",
        "/hooks/..%252fapi",
        "//api",
        "/hooks/..;/api",
        "/hooks/..\\api",
        "/Hooks/a",
    ] {
        let denial = reach(&open, path).unwrap_err();
        assert!(denial.reason.contains("own listener") && denial.add.is_none(), "{path}: {denial}");
    }
    let elsewhere = "127.0.0.1:8081".parse().unwrap();
    assert!(open.judge(elsewhere, ANY).is_ok());
}

#[test]
fn the_local_configuration_allows_public_and_loopback_addresses() {
    let policy = Policy::new(&Config::local().tenants[0].allow, &[]);
    for url in ["http://a.example:8080/", "https://a.example/", "http://a.example:443/"] {
        assert!(admit(&policy, &Method::GET, url).is_ok(), "{url}");
    }
    for ip in ["1.1.1.1", "127.0.0.1", "::1", "127.4.4.4"] {
        assert!(judge(&policy, ANY, ip).is_ok(), "{ip}");
    }
    for ip in ["10.0.0.1", "192.168.1.1", "169.254.169.254", "fe80::1", "0.0.0.0"] {
        assert!(judge(&policy, ANY, ip).is_err(), "{ip}");
    }
}

/// Spellings that have led servers astray, each with what it is.
#[test]
fn sixty_spellings_of_forbidden_addresses_are_denied() {
    let spellings = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "127.255.255.254",
        "127.0.0.001",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f.0x0.0x0.0x1",
        "0x7f000001",
        "0X7F000001",
        "2130706433",
        "017700000001",
        "0x7f.1",
        "0177.1",
        "0",
        "0.0.0.0",
        "00000",
        "0x0",
        "127.0.0.1:80",
        "%31%32%37.0.0.1",
        "127%2e0%2e0%2e1",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "１２７.0.0.1",
        "127．0．0．1",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[0000::0001]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[::FFFF:7F00:0001]",
        "[::127.0.0.1]",
        "[::7f00:1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::127.0.0.1]",
        "[2002:7f00:1::]",
        "[2002:a00:1::1]",
        "[2001:0:7f00:1::]",
        "[2001::a9fe:a9fe]",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "0xa9.0xfe.0xa9.0xfe",
        "169.254.43518",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "10.1",
        "0xa000001",
        "012.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "192.168.1",
        "0xc0a80001",
        "3232235521",
        "100.64.0.1",
        "100.100.100.200",
        "198.18.0.1",
        "192.0.0.192",
        "224.0.0.1",
        "255.255.255.255",
        "0xffffffff",
        "240.0.0.1",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[fc00::1]",
        "168.63.129.16",
    ];
    assert!(spellings.len() >= 60);
    let policy = policy("- host = \"*\"\nports = [80]");
    for spelling in spellings {
        let url = format!("http://{spelling}/");
        let access = admit(&policy, &Method::GET, &url).unwrap();
        let host = Url::parse(&url).unwrap().host().unwrap().to_owned();
        let ip: IpAddr = match host {
            Host::Ipv4(ip) => ip.into(),
            Host::Ipv6(ip) => ip.into(),
            Host::Domain(name) => panic!("{spelling} is taken for the name {name}"),
        };
        assert!(judge(&policy, access, &ip.to_string()).is_err(), "{spelling}");
    }
    for refused in
        ["[fe80::1%25eth0]", "127.0.0.256", "0x7f.0.0.0.1", "4294967296", "[::1", "127.0.0.1%00.example"]
    {
        assert!(Url::parse(&format!("http://{refused}/")).is_err(), "{refused}");
    }
}

/// However a URL is spelled: what a rule lets out goes to the rule's host, port and path, and no special address is dialled.
#[test]
fn fuzz_no_spelling_of_a_url_goes_around_a_rule() {
    let seeds = [
        "https://api.example.com/v1/orders?x=1#f",
        "https://API.example.com.:443/v1/%2e%2e/../admin",
        "http://[::ffff:169.254.169.254]:80/latest",
        "http://0x7f.1:8080/",
        "https://user:word@api.example.com/v1/a;b/c",
    ];
    let (narrow, open) = (
        policy("- host = \"api.example.com\"\nmethods = [\"GET\"]\npaths = [\"/v1/*\"]"),
        policy("- host = \"*\"\nports = [80, 443, 8080]"),
    );
    flowcell_fuzz::texts(file!(), &seeds, |text| {
        let Ok(target) = Target::parse(text, 8 << 10) else { return };
        let (url, subject) = (target.url(), target.subject(&Method::GET));
        if narrow.admit(&subject).is_ok() {
            assert_eq!(url.scheme(), "https", "{text}");
            assert_eq!(
                url.host_str().map(|host| host.trim_end_matches('.')),
                Some("api.example.com"),
                "{text}"
            );
            assert_eq!(url.port_or_known_default(), Some(443), "{text}");
            assert!(url.path().starts_with("/v1/"), "{text}");
            let path = url.path().to_ascii_lowercase().replace("%2e", ".");
            assert!(!path.split(['/', '\\']).any(|part| part == ".."), "{text}");
        }
        let ip = match target.host() {
            Host::Ipv4(ip) => IpAddr::from(ip),
            Host::Ipv6(ip) => IpAddr::from(ip),
            Host::Domain(_) => return,
        };
        let canonical = address::canonical(ip);
        assert_eq!(address::canonical(canonical), canonical, "{text}");
        if let Ok((dialled, _)) = open.judge(SocketAddr::new(ip, 443), ANY) {
            assert!(address::special(dialled.ip()).is_none(), "{text} leads to {dialled}");
            let v4 = match dialled.ip() {
                IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
                IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some(),
            };
            assert!(!v4, "{text} leads to {dialled}");
        }
    });
}
