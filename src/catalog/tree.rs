//! What a parsed expression or query names, read from its stored tree (`pg_node_tree`).
//!
//! A tree is `{NODE :field value :field value …}`, with numbers for whatever it names. Spaces in
//! names are escaped, so a field's name between a space and a space is one, or the value of
//! another, which no number follows. The fields are those of Postgres 15 to 18 (its `outfuncs`).

use super::rows::{Oid, References};

/// `current_setting`, with one argument and with two.
const CURRENT_SETTING: [Oid; 2] = [2077, 3294];

/// All that the trees in this text name, each once.
pub(super) fn references(text: &[u8]) -> References {
    let mut names = References::default();
    let mut rest = text;
    while let Some(colon) = memchr::memchr(b':', rest) {
        rest = rest.get(colon + 1..).unwrap_or_default();
        if let Some(space) = rest.iter().take(20).position(|byte| *byte == b' ')
            && let Some((field, after)) = rest.split_at_checked(space)
        {
            take(field, after.get(1..).unwrap_or_default(), &mut names);
        }
    }
    for list in [
        &mut names.functions,
        &mut names.operators,
        &mut names.relations,
        &mut names.types,
    ] {
        list.sort_unstable();
        list.dedup();
    }
    names
}

fn take(field: &[u8], value: &[u8], names: &mut References) {
    match field {
        b"funcid" => {
            let function = numbers(value).filter(|oid| {
                let setting = CURRENT_SETTING.contains(oid);
                !(setting && is_own_setting(value))
            });
            names.functions.extend(function);
        }
        b"aggfnoid" | b"winfnoid" | b"tsmhandler" => names.functions.extend(numbers(value)),
        b"opno" | b"opnos" | b"eqop" | b"sortop" => names.operators.extend(numbers(value)),
        b"relid" | b"seqid" => names.relations.extend(numbers(value)),
        b"resulttype" | b"row_typeid" | b"typid" | b"coltypes" | b"funccoltypes" => {
            names.types.extend(numbers(value));
        }
        b"hasForUpdate" => names.locks |= value.starts_with(b"true"),
        _ => {}
    }
}

/// A number, or a list of them as `(o 1 2)`; 0 stands for none.
fn numbers(value: &[u8]) -> impl Iterator<Item = Oid> {
    let end = |byte: &u8| !byte.is_ascii_digit();
    let list = value.strip_prefix(b"(o ");
    let stop = |byte: &u8| *byte == b')' || list.is_none() && end(byte);
    let items = list.unwrap_or(value);
    let items = items.split(stop).next().unwrap_or_default();
    let items = items.split(|byte| *byte == b' ');
    items.filter_map(|item| {
        str::from_utf8(item)
            .ok()?
            .parse()
            .ok()
            .filter(|oid| *oid != 0)
    })
}

/// The call's first argument is a constant with a dot in it (byte 46): a setting that nobody but
/// the session has, and the session has it wherever it runs.
fn is_own_setting(call: &[u8]) -> bool {
    let argument = call.iter().position(|byte| *byte == b'{');
    let argument = argument.and_then(|at| call.get(at..)).unwrap_or_default();
    let argument = argument.split(|byte| *byte == b'}').next();
    let constant = argument.filter(|argument| argument.starts_with(b"{CONST "));
    constant.is_some_and(|constant| constant.windows(4).any(|bytes| bytes == b" 46 "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_names_what_its_fields_number() {
        let names = references(
            b"({QUERY :hasForUpdate false :rtable ({RANGETBLENTRY :relid 16396 :relkind r \
              :tablesample {TABLESAMPLECLAUSE :tsmhandler 3313}}) :targetList ({FUNCEXPR :funcid 870 \
              :funcresulttype 25 :args ({VAR :vartype 25})} {AGGREF :aggfnoid 2129} {WINDOWFUNC \
              :winfnoid 2803} {OPEXPR :opno 96 :opfuncid 0} {ROWCOMPAREEXPR :opnos (o 97 521)} \
              {COERCETODOMAIN :resulttype 16394}) :sortClause ({SORTGROUPCLAUSE :eqop 0 :sortop 664})})",
        );
        let expected = References {
            functions: vec![870, 2129, 2803, 3313],
            operators: vec![96, 97, 521, 664],
            relations: vec![16396],
            types: vec![16394],
            locks: false,
        };
        assert_eq!(names, expected);
        assert!(references(b"{QUERY :hasForUpdate true}").locks);
        assert_eq!(references(b""), References::default());
        assert_eq!(
            references(b":aliasname :funcid :colnames <>"),
            References::default()
        );
        assert_eq!(references(b":funcid"), References::default());
    }

    #[test]
    fn a_setting_that_only_the_session_has_is_not_the_servers() {
        let call = |argument: &str| {
            let tree = format!("{{FUNCEXPR :funcid 3294 :args ({argument} {{VAR}})}} [ 46 ]");
            references(tree.as_bytes()).functions
        };
        let empty: Vec<Oid> = Vec::new();
        assert_eq!(call("{CONST :constvalue 5 [ 20 0 0 0 97 46 98 ]}"), empty);
        assert_eq!(call("{CONST :constvalue 5 [ 20 0 0 0 97 98 ]}"), [3294]);
        assert_eq!(call("{VAR :varno 1}"), [3294]);
    }
}
