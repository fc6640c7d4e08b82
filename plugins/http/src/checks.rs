//! What is wrong or odd about a request as it is written, that no schema says. The host looks at it when a flow is checked
//! or deployed; texts with `${ }` in them are known when the step runs, and judged then.

use serde_json::{Value, json};

/// Of one request.
pub fn of_request() -> Value {
    json!([
        {
            "at": "/url", "refuses": true,
            "when": r#".url | strings | contains("${") or contains("{{") or test("^\\s*https?://[^/?#\\s]"; "i") | not"#,
            "says": "it begins with https:// or http:// and names a host",
        },
        {
            "at": "/url", "refuses": true,
            "when": r#".url | strings | (contains("${") | not) and test("^\\s*https?://[^/?#]*@"; "i")"#,
            "says": "credentials do not stand in a URL: use `basic`, or a `connection`",
        },
        {
            "at": "/body",
            "when": r#"(.method // "GET" | strings | ascii_upcase) as $method | ($method == "GET" or $method == "HEAD") and .body != null"#,
            "says": "a GET or HEAD with a body is sent as it is, and many servers refuse or ignore it: is it a POST?",
        },
        {
            "at": "/contentType", "refuses": true,
            "when": format!(r#"
                ({{json: "application/json", text: "text/plain", form: "application/x-www-form-urlencoded",
                   xml: "application/xml", multipart: "multipart/form-data"}}) as $media
                | (.contentType | strings | select(contains("${{") or . == "binary" | not)) as $said
                | [{HEADERS} | select(.name == "content-type") | .value | strings | select(contains("${{") | not)]
                | any(split(";")[0] | gsub("\\s"; "") | ascii_downcase
                      | . != (($media[$said] // $said) | split(";")[0] | gsub("\\s"; "") | ascii_downcase))"#),
            "says": "the header `content-type` says something else: leave one of them out",
        },
        {
            "at": "/headers", "refuses": true,
            "when": format!(r#"[{HEADERS} | .name | select(IN("host", "content-length", "transfer-encoding", "connection"))] | length > 0"#),
            "says": "`host` and the headers that frame a request are written by the host: leave them out",
        },
        {
            "at": "/headers", "refuses": true,
            "when": format!(r#"(.basic != null or .connection != null) and ([{HEADERS} | select(.name == "authorization")] | length > 0)"#),
            "says": "the header `authorization` stands beside `basic` or `connection`: leave one of them out",
        },
        {
            "at": "/basic", "refuses": true,
            "when": ".basic != null and .connection != null",
            "says": "`basic` stands beside `connection`: leave one of them out",
        },
        {
            "at": "/timeout", "refuses": true,
            "when": r#".timeout | strings | test("^P(T?[0.]+[DHMS])+$")"#,
            "says": "it is zero: give a time such as PT10S",
        },
        {
            "at": "/pages", "refuses": true,
            "when": r#".pages | objects | (has("next") and has("parameter")) or (has("next") or has("parameter") | not)"#,
            "says": "it has one of `next` and `parameter`: where the next page is",
        },
        {
            "at": "/pages/parameter/name", "refuses": true,
            "when": r#".pages.parameter.name | strings | test("^\\s*$")"#,
            "says": "it is empty: it names the parameter that counts on",
        },
    ])
}

/// The headers as rows of names in lower case and values, whether they are written as an object or as rows.
const HEADERS: &str = r#"(.headers | if type == "object" then to_entries[] | {name: .key, value}
    elif type == "array" then .[] | objects | {name, value} else empty end)
    | select(.name | type == "string") | {name: (.name | ascii_downcase), value}"#;

/// Of a request that asks for a call back.
pub fn of_subscription() -> Value {
    json!([
        {
            "at": "/subscribe",
            "when": r#".subscribe | objects | [.. | strings] | any(contains("callback.url")) | not"#,
            "says": "it does not say where to call: put `${ $task.callback.url }` into its body, its query or its URL",
        },
        {
            "at": "/unsubscribe", "refuses": true,
            "when": r#".unsubscribe | objects
                | [.. | strings | gsub("\\{\\{\\s*subscribe([.][^{}.\\s]+)*\\s*\\}\\}"; "") | select(contains("{{"))] | .[0] // false"#,
            "says": "what stands in `{{ }}` is a place in the answer to `subscribe`, such as {{ subscribe.body.id }}; here is",
        },
    ])
}
