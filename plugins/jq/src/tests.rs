//! The language as its users meet it: a program, an input, and what comes of it.

use crate::{check, evaluate};

#[track_caller]
fn yields(cases: &[(&str, &str, &str)]) {
    for (program, input, expected) in cases {
        assert_eq!(evaluate(program, input, "{}").as_deref(), Ok(*expected), "{program} of {input}");
    }
}

#[track_caller]
fn fails(cases: &[(&str, &str, &str)]) {
    for (program, input, sentence) in cases {
        let outcome = evaluate(program, input, "{}");
        assert!(
            outcome.as_ref().is_err_and(|error| error.contains(sentence)),
            "{program} of {input}: {outcome:?}"
        );
    }
}

#[test]
fn paths_reach_into_values() {
    yields(&[
        (".a.b", r#"{"a":{"b":1}}"#, "1"),
        (".a.b", "null", "null"),
        (".a.[1]", r#"{"a":[1,2]}"#, "2"),
        (".[-1]", "[1,2]", "2"),
        (".[1:]", "[1,2,3]", "[2,3]"),
        (".[:-1]", r#""aéb""#, r#""aé""#),
        (".[1.2:2.5]", "[1,2,3,4]", "[2,3]"),
        ("[..]", "[[1],2]", "[[[1],2],[1],1,2]"),
        ("[.[]?]", "1", "[]"),
        ("[paths]", r#"{"a":[1,{"b":2}]}"#, r#"[["a"],["a",0],["a",1],["a",1,"b"]]"#),
        ("[leaf_paths]", r#"{"a":[1,{"b":2}]}"#, r#"[["a",0],["a",1,"b"]]"#),
        ("getpath([\"a\",1,\"b\"])", r#"{"a":[1,{"b":2}]}"#, "2"),
        ("pick(.a.b)", r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"b":1}}"#),
    ]);
}

#[test]
fn assignments_change_copies() {
    yields(&[
        (".a.b.c = 1", "null", r#"{"a":{"b":{"c":1}}}"#),
        (".[2] = 1", "null", "[null,null,1]"),
        (".a += 1", r#"{"a":1}"#, r#"{"a":2}"#),
        (".a //= 5", r#"{"a":null}"#, r#"{"a":5}"#),
        (".[] |= . + 1", "[1,2]", "[2,3]"),
        (".a[1:2] = [\"x\"]", r#"{"a":[1,2,3]}"#, r#"{"a":[1,"x",3]}"#),
        ("del(.[0,1])", "[1,2,3]", "[3]"),
        ("del(.[] | select(. > 1))", "[1,2,3]", "[1]"),
        ("del(.a.x)", r#"{"b":1}"#, r#"{"b":1}"#),
        ("delpaths([[\"a\",\"b\"],[\"c\"]])", r#"{"a":{"b":1,"d":2},"c":3}"#, r#"{"a":{"d":2}}"#),
        ("to_entries", r#"{"b":1,"a":2}"#, r#"[{"key":"b","value":1},{"key":"a","value":2}]"#),
        ("with_entries(.value += 1)", r#"{"a":1}"#, r#"{"a":2}"#),
        (
            "from_entries",
            r#"[{"name":"a","value":1},{"k":"b","v":2},{"key":false},{"key":null}]"#,
            r#"{"a":1,"b":2,"false":null,"null":null}"#,
        ),
        ("walk(if type == \"number\" then . + 1 else . end)", r#"[1,{"a":2}]"#, r#"[2,{"a":3}]"#),
        ("map_values(empty)", r#"{"a":1}"#, "{}"),
    ]);
}

#[test]
fn numbers_are_what_people_expect() {
    yields(&[
        ("10 / 2", "null", "5"),
        ("7 / 2", "null", "3.5"),
        ("0.1 + 0.9", "null", "1"),
        ("1 / 3 * 3", "null", "1"),
        ("\"\\(10 / 2)\"", "null", r#""5""#),
        (". + 1", "9007199254740993", "9007199254740994"),
        (".", "18446744073709551615", "18446744073709551615"),
        (". + 1", "9223372036854775807", "9.223372036854776e+18"),
        ("[-5 % 3, 5 % -3, 5.9 % 3.1]", "null", "[-2,2,2]"),
        ("7 * 5 % 3", "null", "2"),
        ("2 + 7 * 5 % 3 * 2", "null", "6"),
        ("if . then 4 * 2 else 1 end % 3", "true", "2"),
        ("3 * if . then -7 else 2 * 2 end % 5 * 2", "true", "-2"),
        ("if . then if . then 6 * 2 end * 2 % 7 else 1 end % 2", "true", "1"),
        ("pow(2; 10)", "null", "1024"),
        ("[floor, ceil, round]", "1.5", "[1,2,2]"),
        ("\"1.50\" | tonumber", "null", "1.5"),
        ("nan | isnan", "null", "true"),
        (
            "[3, null, \"a\", [1], {\"a\": 1}, true, false] | sort",
            "null",
            r#"[null,false,true,3,"a",[1],{"a":1}]"#,
        ),
        ("1 == 1.0", "null", "true"),
        ("12345678901", "null", "12345678901"),
    ]);
    fails(&[
        ("1 / 0", "null", "number (1) and number (0) cannot be divided because the divisor is zero"),
        ("5 % 0", "null", "cannot be divided because the divisor is zero"),
        ("nan", "null", "NaN"),
        ("[infinite]", "null", "infinite number"),
        ("\"abc\" | tonumber", "null", "cannot be parsed as a number"),
    ]);
}

#[test]
fn the_library_has_what_people_use() {
    yields(&[
        ("[.[] | select(.a > 1) | .a]", r#"[{"a":1},{"a":2}]"#, "[2]"),
        ("sort_by(.a) | map(.a)", r#"[{"a":2},{"a":1}]"#, "[1,2]"),
        ("group_by(.a) | map(length)", r#"[{"a":2},{"a":1},{"a":2}]"#, "[1,2]"),
        ("[min, max, add, length]", "[3,1,2]", "[1,3,6,3]"),
        ("unique", "[3,1,3]", "[1,3]"),
        ("[any(. > 1), all(. > 1)]", "[1,2]", "[true,false]"),
        ("flatten", "[1,[2,[3]]]", "[1,2,3]"),
        ("[limit(3; .[])]", "[1,2,3,4]", "[1,2,3]"),
        ("first(range(10))", "null", "0"),
        ("until(. > 100; . * 2)", "1", "128"),
        ("[while(. < 10; . * 2)]", "1", "[1,2,4,8]"),
        ("reduce .[] as $x (0; . + $x)", "[1,2,3]", "6"),
        ("[foreach .[] as $x (0; . + $x; [$x, .])]", "[1,2]", "[[1,1],[2,3]]"),
        (". as [$a, {b: $c}] | [$a, $c]", r#"[1,{"b":2}]"#, "[1,2]"),
        ("[label $f | range(10) | ., (select(. == 1) | break $f)]", "null", "[0,1]"),
        ("def f($a; g): $a + (g | . * 2); f(1; .)", "3", "7"),
        ("try error({\"a\": 1}) catch .a", "null", "1"),
        ("[.[] | (1 / .)?]", "[1,0]", "[1]"),
        (".a? // \"d\"", "1", "\"d\""),
        ("[(null, 1, 2) // 3]", "null", "[1,2]"),
        ("2 | IN(1, 2)", "null", "true"),
        ("INDEX(.id)", r#"[{"id":1},{"id":"b"}]"#, r#"{"1":{"id":1},"b":{"id":"b"}}"#),
        ("JOIN({\"1\": \"x\"}; tostring)", "[1,2]", r#"[[1,"x"],[2,null]]"#),
        ("[combinations]", "[[1,2],[3,4]]", "[[1,3],[1,4],[2,3],[2,4]]"),
        ("transpose", "[[1],[2,3]]", "[[1,2],[null,3]]"),
        ("fromstream(tostream)", r#"{"a":[1,{"b":2}],"c":[],"d":{}}"#, r#"{"a":[1,{"b":2}],"c":[],"d":{}}"#),
        ("[env, $ENV]", "null", "[{},{}]"),
        ("contains({\"a\": [1]})", r#"{"a":[1,2]}"#, "true"),
        ("[has(\"a\"), has(\"b\")]", r#"{"a":null}"#, "[true,false]"),
        ("tojson | fromjson", r#"{"b":[1,"x"],"a":null}"#, r#"{"b":[1,"x"],"a":null}"#),
    ]);
}

#[test]
fn texts_are_cut_matched_and_encoded() {
    yields(&[
        ("ltrimstr(\"a\")", r#""abc""#, r#""bc""#),
        ("ltrimstr(\"a\")", "5", "5"),
        ("split(\", \")", r#""a, b""#, r#"["a","b"]"#),
        ("[splits(\", *\")]", r#""a, b,c""#, r#"["a","b","c"]"#),
        ("join(\",\")", r#"["a",1,null,true]"#, r#""a,1,,true""#),
        ("indices(\", \")", r#""a, b, c""#, "[1,4]"),
        ("test(\"B\"; \"i\")", r#""abc""#, "true"),
        ("test(\"a(?=c)\")", r#""abac""#, "true"),
        ("[match(\"é\"; \"g\") | .offset]", r#""aébé""#, "[1,3]"),
        (
            "match(\"(a)(?<n>x)?\") | .captures[1]",
            r#""ba""#,
            r#"{"offset":-1,"length":0,"string":null,"name":"n"}"#,
        ),
        ("capture(\"(?<y>\\\\d+)-(?<m>\\\\d+)\")", r#""2020-10""#, r#"{"y":"2020","m":"10"}"#),
        ("[scan(\"(a)(.)\")]", r#""abac""#, r#"[["a","b"],["a","c"]]"#),
        ("gsub(\"(?<c>[a-n])\"; \"<\\(.c)>\")", r#""banana""#, r#""<b><a><n><a><n><a>""#),
        ("gsub(\"\"; \"-\")", r#""ab""#, r#""-a-b-""#),
        ("sub(\"a\"; \"x\")", r#""banana""#, r#""bxnana""#),
        ("@base64", r#""hello""#, r#""aGVsbG8=""#),
        ("@base64d", r#""aGVsbG8""#, r#""hello""#),
        ("@uri", r#""a b/ü~""#, r#""a%20b%2F%C3%BC~""#),
        ("@csv", r#"[1,"a\"b",null,true]"#, r#""1,\"a\"\"b\",,true""#),
        ("@sh \"echo \\(.)\"", r#"["it's",1]"#, r#""echo 'it'\\''s' 1""#),
        ("@html", r#""<a href='x'>""#, r#""&lt;a href=&#39;x&#39;&gt;""#),
        ("@json \"x \\(.)\"", r#"{"a":1}"#, r#""x {\"a\":1}""#),
        ("@base32 | @base32d", r#""hello""#, r#""hello""#),
        ("explode | implode", r#""aé""#, r#""aé""#),
    ]);
}

#[test]
fn dates_are_utc() {
    yields(&[
        ("todate", "1425599621", r#""2015-03-05T23:53:41Z""#),
        ("fromdate", r#""2015-03-05T23:51:47Z""#, "1425599507"),
        ("fromdate", r#""2015-03-06T00:51:47+01:00""#, "1425599507"),
        ("strptime(\"%Y-%m-%dT%H:%M:%SZ\")", r#""2015-03-05T23:51:47Z""#, "[2015,2,5,23,51,47,4,63]"),
        ("strptime(\"%d.%m.%Y\") | mktime", r#""05.03.2015""#, "1425513600"),
        ("gmtime | mktime", "1425599621", "1425599621"),
        ("strftime(\"%A, %B %d, %Y\")", "1425599621", r#""Thursday, March 05, 2015""#),
        ("now > 1700000000", "null", "true"),
    ]);
    fails(&[("todate", "1e30", "out of the range"), ("fromdate", r#""soon""#, "ISO 8601")]);
}

#[test]
fn an_expression_has_one_value() {
    fails(&[
        ("empty", "null", "yields no value"),
        (".[]", "[1,2,3]", "yields 3 values; wrap it in [ ]"),
        ("range(1e9)", "null", "more than 1000 values"),
        ("1, error(\"late\")", "null", "late"),
    ]);
}

#[test]
fn failures_are_sentences() {
    fails(&[
        (".a", "1", "Cannot index number with string \"a\""),
        (".[\"a\"]", "[]", "Cannot index array with string \"a\""),
        (".[]", "1", "Cannot iterate over number (1)"),
        ("\"a\" + 1", "null", "string (\"a\") and number (1) cannot be added"),
        ("error({\"code\": 7})", "null", "The expression raised {\"code\":7}"),
        ("error(null)", "null", "without a message"),
        (
            ". + 1",
            r#""a very long text that nobody wants to see in full in an error""#,
            "...) and number (1)",
        ),
        ("\"x\" * 1e9", "null", "too long"),
        ("test(\"(\")", r#""a""#, "not a valid regex"),
        ("input", "null", "No more inputs"),
        (".", "{", "The input is no JSON"),
    ]);
    assert!(evaluate(".", "1", "[]").unwrap_err().contains("an object is expected"));
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (program, sentence) in [
        (".a | (.b", "Syntax error at the end: closing parenthesis is expected"),
        ("1 + ", "Syntax error at the end: a value is expected"),
        (
            ".a\n | ) .b",
            "Syntax error at line 2, column 4, before `) .b`: an operator or a value is expected",
        ),
        ("if . then 1", "else or end is expected"),
        ("\"abc", "a closing quote is expected"),
        (
            "nosuch(.a)",
            "There is no function nosuch with 1 argument at line 1, column 1, before `nosuch(.a)`",
        ),
        (
            ".a + $who",
            "There is no variable $who at line 1, column 6, before `$who`; there are $input, $context",
        ),
        ("break $x", "There is no label"),
        ("import \"a\" as a; .", "Syntax error"),
        ("", "a value is expected"),
    ] {
        let refusal = check(program, &["input", "context"]).unwrap_err();
        assert!(refusal.contains(sentence), "{program}: {refusal}");
    }
    assert!(check(&"[".repeat(1_000), &[]).unwrap_err().contains("nests brackets"));
    assert!(check(&" ".repeat(100_000), &[]).unwrap_err().contains("longer than"));
    assert_eq!(check("$input.a + ($context | length)", &["input", "context"]), Ok(()));
}

#[test]
fn variables_are_visible_by_name() {
    assert_eq!(evaluate("[$b, $a.x, .]", "1", r#"{"a":{"x":2},"b":3}"#).as_deref(), Ok("[3,2,1]"));
    assert_eq!(evaluate("def f: $a; [1] | map(f + .)", "1", r#"{"a":2}"#).as_deref(), Ok("[3]"));
    // The same program with other names is another program.
    assert!(evaluate("$a", "1", r#"{"b":2}"#).is_err());
    assert_eq!(evaluate("$a", "1", r#"{"b":2,"a":1}"#).as_deref(), Ok("1"));
}

#[test]
fn many_programs_do_not_fill_the_instance() {
    for number in 0..2 * crate::KEPT {
        assert_eq!(evaluate(&format!(". + {number}"), "1", ""), Ok((number + 1).to_string()));
    }
    let kept = crate::PROGRAMS.with_borrow(|kept| kept.values().map(Vec::len).sum::<usize>());
    assert!(kept <= crate::KEPT);
}

#[test]
fn every_library_definition_compiles() {
    for definition in crate::prelude::DEFINITIONS {
        let head = definition["def ".len()..].split(':').next().unwrap();
        let call = head.split_once('(').map_or(head.to_owned(), |(name, parameters)| {
            format!("{name}({}.)", ".; ".repeat(parameters.matches(';').count()))
        });
        assert_eq!(check(&call, &[]), Ok(()), "{definition}");
    }
}
