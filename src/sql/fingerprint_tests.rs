//! What agrees in a fingerprint, and what does not.

use super::super::Places;
use super::*;

fn print(text: &str) -> Print {
    fingerprint(text.as_bytes(), Strings::Standard, 7).unwrap()
}

/// That all of these are the same but for their values.
fn agree(texts: &[&str]) {
    for text in texts {
        let (one, other) = (print(texts[0]), print(text));
        assert_eq!(one.fingerprint, other.fingerprint, "{} | {text}", texts[0]);
        assert_eq!(one.check, other.check, "{} | {text}", texts[0]);
        assert_eq!(one.length, other.length, "{} | {text}", texts[0]);
    }
}

/// That no two of these are the same.
fn differ(texts: &[&str]) {
    for (at, one) in texts.iter().enumerate() {
        for other in &texts[at + 1..] {
            let (a, b) = (print(one), print(other));
            assert_ne!(a.fingerprint, b.fingerprint, "{one} | {other}");
            assert_ne!(a.check, b.check, "{one} | {other}");
        }
    }
}

/// The values of a text with their places.
fn values(text: &str) -> Vec<(u32, &str)> {
    let mut places = Places::new(100);
    fingerprint_with(text.as_bytes(), Strings::Standard, 0, &mut places);
    let found = places.found().iter();
    found
        .map(|(place, span)| (*place, &text[span.start..span.end]))
        .collect()
}

#[test]
fn a_fingerprint_is_the_same_in_every_version() {
    for (text, shown) in [
        ("", "e28f2b2061a2b984"),
        ("SELECT 1", "6d5791264c9c307f"),
        (
            "select abalance from pgbench_accounts where aid = 12345;",
            "927b52801f06daf0",
        ),
        (
            "INSERT INTO \"Orders\" VALUES (1, 'x'), (2, NULL)",
            "8c50af5cbc769f9b",
        ),
        (
            "select * from t where id in (1, 2) and a->>'b' is not null",
            "7f00f9fd6a63d1b2",
        ),
    ] {
        assert_eq!(print(text).fingerprint.to_string(), shown, "{text}");
    }
}

#[test]
fn without_standard_strings_there_is_none() {
    assert_eq!(fingerprint(b"select 1", Strings::Backslash, 0), None);
}

#[test]
fn the_check_is_another_for_every_seed() {
    let one = fingerprint(b"select 1", Strings::Standard, 1).unwrap();
    let other = fingerprint(b"select 1", Strings::Standard, 2).unwrap();
    assert_eq!(one.fingerprint, other.fingerprint);
    assert_ne!(one.check, other.check);
}

#[test]
fn values_of_every_kind_are_the_same() {
    agree(&[
        "select * from t where a = 1",
        "select * from t where a = $1",
        "select * from t where a = 'it''s'",
        "select * from t where a = E'it\\'s'",
        "select * from t where a = e'\\\\'",
        "select * from t where a = U&'d\\0061t'",
        "select * from t where a = u&'d!0061t' uescape '!'",
        "select * from t where a = N'x'",
        "select * from t where a = b'01'",
        "select * from t where a = X'1f'",
        "select * from t where a = $$x'$$",
        "select * from t where a = $a$x$$$a$",
        "select * from t where a = 'x'\n'y' -- z\n 'z'",
        "select * from t where a = 1.5e-3",
        "select * from t where a = .5",
        "select * from t where a = 1_000",
        "select * from t where a = 0x1F",
        "select * from t where a = 12345678901234567890",
        "select * from t where a = 'a string that is longer than three times eight bytes'",
    ]);
}

#[test]
fn a_sign_before_a_number_is_its_own_where_it_is_unary() {
    agree(&[
        "select a = 1",
        "select a = -1",
        "select a = + 1",
        "select a = - /* x */ .5",
    ]);
    agree(&["select 1, -1", "select -1, 1"]);
    agree(&["select (1), f(1)", "select (-1), f(+1)"]);
    agree(&["select a[1:2]", "select a[-1:-2]"]);
    agree(&[
        "a between 1 and 2 order by 1",
        "a BETWEEN -1 AND -2 ORDER BY -1",
    ]);
    agree(&[
        "select case when 1 then 2 else 3 end",
        "select case when -1 then -2 else -3 end",
    ]);
    agree(&["limit 1 offset 1", "limit -1 offset -1"]);
    agree(&["select a + 1", "select a + -1"]);
    differ(&["select a - 1", "select a + 1", "select a = 1", "select a 1"]);
    differ(&[
        "select a - 1",
        "select a 1",
        "select a - -b",
        "select a - b",
    ]);
    differ(&[
        "select $1 - 1",
        "select $1 + 1",
        "select (a) - 1",
        "select (a) + 1",
    ]);
    differ(&[
        "select case when 1 then 2 end - 1",
        "select case when 1 then 2 end + 1",
    ]);
    differ(&["select a = -$1", "select a = $1"]);
    differ(&[
        "select 'a' - 1",
        "select 'a' + 1",
        "select a[1] - 1",
        "select a[1] + 1",
    ]);
    differ(&[
        "select null - 1",
        "select null + 1",
        "select t.\"a\" - 1",
        "select t.\"a\" + 1",
    ]);
}

#[test]
fn lists_of_values_have_no_length() {
    agree(&[
        "a in (1)",
        "a IN (1,2,3)",
        "a in ($1)",
        "a in ( 'x' , -2 /* c */, $3, NULL, true )",
        "a in (E'x', $$y$$, 1.5, b'1')",
    ]);
    agree(&[
        "a in ((1,2),(3,4))",
        "a in ((1,2))",
        "a in (($1, $2), (3, null), (5, 6))",
    ]);
    agree(&["array[1,2,3]", "ARRAY[$1]", "array [ 'a' , 'b' ]"]);
    agree(&["array[[1,2],[3,4]]", "array[[1,2]]"]);
    agree(&[
        "a in ('x'::uuid)",
        "a in ('x'::uuid, 'y'::uuid)",
        "a in ($1::uuid, NULL::uuid)",
    ]);
    differ(&[
        "a in (1)",
        "a in ((1,2))",
        "a in ((1,2,3))",
        "a in (b)",
        "a in (b, c)",
        "a in ()",
    ]);
    differ(&[
        "a in (1, b)",
        "a in (b, 1)",
        "a in (1)",
        "a in (b)",
        "a in (1, b, 2)",
    ]);
    differ(&[
        "f(1)",
        "f(1, 2)",
        "f(1, 2, 3)",
        "x in (1)",
        "x.in(1)",
        "x.in(1, 2)",
    ]);
    differ(&["array[1]", "array(1)", "array[[1]]", "a[1]", "array[]"]);
}

#[test]
fn a_query_in_brackets_is_no_list() {
    differ(&[
        "a in (select b, b)",
        "a in (select b)",
        "a in (select b, 1)",
    ]);
    differ(&[
        "a in (with b as (select 1) select c, c)",
        "a in (with b as (select 1) select c)",
    ]);
}

#[test]
fn a_list_within_a_list_is_folded_too() {
    agree(&[
        "insert into t values (1, array[1,2]), (2, array[3])",
        "insert into t values (1, array[1])",
    ]);
    agree(&[
        "a in ((select 1 where b in (1,2)))",
        "a in ((select 1 where b in (3)))",
    ]);
    differ(&[
        "values (a in (1, b))",
        "values (a in (1, 2, b, 3))",
        "values (a in (1))",
    ]);
}

#[test]
fn further_rows_of_the_same_shape_are_the_first() {
    agree(&[
        "insert into t values (1, 'a')",
        "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        "insert into t values ($1, $2) , ($3, $4), ( 5, NULL ) ;",
    ]);
    agree(&[
        "insert into t values (default, now(), 1) on conflict do nothing",
        "insert into t values (default, now(), 2), (default, now(), 3) on conflict do nothing",
    ]);
    agree(&[
        "select * from (values (1), (2)) v, (values (1)) w",
        "select * from (values (1)) v, (values (1), (2)) w",
    ]);
    differ(&[
        "values (1)",
        "values (1, 2)",
        "values (a)",
        "values (a), (b)",
        "values (1), (a)",
    ]);
    differ(&[
        "values (1), (a)",
        "values (a), (1)",
        "values (1), (a), (1)",
        "values ((1))",
    ]);
    differ(&[
        "values (1), 2",
        "values (1)",
        "x.values (1), (2)",
        "x.values (1)",
    ]);
}

#[test]
fn what_is_between_tokens_is_nothing() {
    agree(&[
        "select a from b",
        "  SELECT\n\ta/* x /* y */ */FROM--z\n b ; ",
        ";; select a from b;;;",
        "Select a From b",
        "/* ambassador: replica */ select a from b",
    ]);
}

#[test]
fn what_stands_between_tokens_matters_where_it_parts_them() {
    differ(&[
        "a b", "ab", "a.b", "a,b", "a;b", "a;b;c", "\"a\" b", "a \"b\"", "\"a b\"",
    ]);
    differ(&[
        "< =", "<=", "a@-b", "a@ -b", "a::b", "a: :b", "a:=b", "a..b",
    ]);
    differ(&["begin; commit", "begin commit", "begin; commit; begin"]);
}

#[test]
fn names_are_kept_exactly() {
    differ(&[
        "users",
        "Users",
        "USERS",
        "\"users\"",
        "\"Users\"",
        "user\u{e9}",
        "USER",
    ]);
    differ(&[
        "a_long_name_of_some_sort",
        "A_long_name_of_some_sort",
        "a_long_name_of_some_sorT",
    ]);
    differ(&[
        "\"a b\"",
        "\"a  b\"",
        "\"A b\"",
        "\"a\"\"b\"",
        "\"ab\"",
        "U&\"ab\"",
        "\"\"",
    ]);
    differ(&[
        "u&\"a!0061\" uescape '!'",
        "u&\"a!0061\" uescape '#'",
        "u&\"a!0061\"",
    ]);
    differ(&[
        "abcdefgh",
        "abcdefgh1",
        "abcdefg",
        "abcdefghabcdefgh",
        "abcdefgh abcdefgh",
    ]);
    agree(&[
        "CURRENT_TIMESTAMP",
        "Current_Timestamp",
        "current_timestamp",
    ]);
    agree(&["select authorization, name", "SELECT AUTHORIZATION, NAME"]);
}

#[test]
fn keywords_without_a_value_stay() {
    differ(&[
        "a is null",
        "a is true",
        "a is 1",
        "a = null",
        "a = 1",
        "a = default",
    ]);
}

#[test]
fn values_are_told_with_their_places() {
    assert_eq!(
        values("update t set a = -1, b = 'x' where c = $1 and d in (1, 2) and e = 3"),
        [
            (0, "-1"),
            (1, "'x'"),
            (2, "$1"),
            (3, "1"),
            (3, "2"),
            (4, "3")
        ]
    );
    assert_eq!(
        values("insert into t values (1, now(), 'a'), (2, now(), NULL) returning 5"),
        [(0, "1"), (1, "'a'"), (0, "2"), (1, "NULL"), (2, "5")]
    );
    assert_eq!(
        values("(a, b) in ((1, 2), (- 3, 4)) or c = u&'x' uescape '!'"),
        [
            (0, "1"),
            (1, "2"),
            (0, "- 3"),
            (1, "4"),
            (2, "u&'x' uescape '!'")
        ]
    );
    assert_eq!(
        values("values (array[1, 2], 3), (array[4], 5)"),
        [(0, "1"), (0, "2"), (1, "3"), (0, "4"), (1, "5")]
    );
    assert_eq!(values("select \"1\", a1, x.y -- 2"), []);
}

#[test]
fn places_of_a_list_whose_elements_differ_are_not_to_be_trusted() {
    let mut places = Places::only(0, 2);
    let mut is_mixed = |text: &str| {
        places.clear();
        fingerprint_with(text.as_bytes(), Strings::Standard, 0, &mut places);
        (places.found().len(), places.is_mixed(), places.is_full())
    };
    assert_eq!(is_mixed("values (1, 2), (3, 4)"), (2, false, false));
    assert_eq!(
        is_mixed("values (1, default), (default, 4)"),
        (2, true, false)
    );
    assert_eq!(is_mixed("values (1, 2), (3, 4), (5, 6)"), (2, false, true));
}

#[test]
fn what_does_not_end_or_begins_nothing_is_unsound() {
    for text in [
        "select 'a",
        "select \"a",
        "/* ",
        "$$",
        "select \\",
        "E'",
        "a in ('",
        "u&\"",
    ] {
        assert!(!print(text).is_sound, "{text}");
    }
    assert!(print("select 1").is_sound);
}
