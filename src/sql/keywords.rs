//! The server's keywords, those of PostgreSQL 15 to 18 together (its `kwlist.h`; `pg_get_keywords()`
//! of 15.18 and 18.4). Their case says nothing, wherever they stand; a name's is kept.

/// Each once, in lower case, with one space between.
const KEYWORDS: &str = "\
    abort absent absolute access action add admin after aggregate all also alter always \
    analyse analyze and any array as asc asensitive assertion assignment asymmetric at \
    atomic attach attribute authorization backward before begin between bigint binary bit \
    boolean both breadth by cache call called cascade cascaded case cast catalog chain char \
    character characteristics check checkpoint class close cluster coalesce collate \
    collation column columns comment comments commit committed compression concurrently \
    conditional configuration conflict connection constraint constraints content continue \
    conversion copy cost create cross csv cube current current_catalog current_date \
    current_role current_schema current_time current_timestamp current_user cursor cycle \
    data database day deallocate dec decimal declare default defaults deferrable deferred \
    definer delete delimiter delimiters depends depth desc detach dictionary disable discard \
    distinct do document domain double drop each else empty enable encoding encrypted end \
    enforced enum error escape event except exclude excluding exclusive execute exists \
    explain expression extension external extract false family fetch filter finalize first \
    float following for force foreign format forward freeze from full function functions \
    generated global grant granted greatest group grouping groups handler having header hold \
    hour identity if ilike immediate immutable implicit import in include including \
    increment indent index indexes inherit inherits initially inline inner inout input \
    insensitive insert instead int integer intersect interval into invoker is isnull \
    isolation join json json_array json_arrayagg json_exists json_object json_objectagg \
    json_query json_scalar json_serialize json_table json_value keep key keys label language \
    large last lateral leading leakproof least left level like limit listen load local \
    localtime localtimestamp location lock locked logged mapping match matched materialized \
    maxvalue merge merge_action method minute minvalue mode month move name names national \
    natural nchar nested new next nfc nfd nfkc nfkd no none normalize normalized not nothing \
    notify notnull nowait null nullif nulls numeric object objects of off offset oids old \
    omit on only operator option options or order ordinality others out outer over overlaps \
    overlay overriding owned owner parallel parameter parser partial partition passing \
    password path period placing plan plans policy position preceding precision prepare \
    prepared preserve primary prior privileges procedural procedure procedures program \
    publication quote quotes range read real reassign recheck recursive ref references \
    referencing refresh reindex relative release rename repeatable replace replica reset \
    restart restrict return returning returns revoke right role rollback rollup routine \
    routines row rows rule savepoint scalar schema schemas scroll search second security \
    select sequence sequences serializable server session session_user set setof sets share \
    show similar simple skip smallint snapshot some source sql stable standalone start \
    statement statistics stdin stdout storage stored strict string strip subscription \
    substring support symmetric sysid system system_user table tables tablesample tablespace \
    target temp template temporary text then ties time timestamp to trailing transaction \
    transform treat trigger trim true truncate trusted type types uescape unbounded \
    uncommitted unconditional unencrypted union unique unknown unlisten unlogged until \
    update user using vacuum valid validate validator value values varchar variadic varying \
    verbose version view views virtual volatile when where whitespace window with within \
    without work wrapper write xml xmlattributes xmlconcat xmlelement xmlexists xmlforest \
    xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable year yes zone";

/// No keyword is longer.
pub(super) const LONGEST: usize = 17;

/// A word as [`chunk::load`] gives it: eight bytes a number, zeros behind its end.
pub(super) type Spelling = [u64; 3];

/// Whether these lower-case letters spell a keyword.
#[inline]
pub(super) fn is_keyword(spelling: &Spelling) -> bool {
    let mut number = HEADS.get(slot(spelling)).copied().unwrap_or(0);
    while number != 0 {
        let at = usize::from(number);
        if SPELLINGS.get(at).is_some_and(|known| known == spelling) {
            return true;
        }
        number = NEXT.get(at).copied().unwrap_or(0);
    }
    false
}

const SLOTS: usize = 2048;

#[inline(always)]
const fn slot(spelling: &Spelling) -> usize {
    let [first, second, third] = *spelling;
    let mixed = first ^ second.rotate_left(21) ^ third.rotate_left(42);
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 53) as usize
}

/// Number 0 is no keyword.
const COUNT: usize = {
    let (mut count, mut rest) = (2, KEYWORDS.as_bytes());
    while let [byte, others @ ..] = rest {
        count += (*byte == b' ') as usize;
        rest = others;
    }
    count
};

struct Tables {
    spellings: [Spelling; COUNT],
    /// The first keyword of each slot,
    heads: [u16; SLOTS],
    /// and the one after each keyword in its slot; 0 ends.
    next: [u16; COUNT],
}

const TABLES: Tables = tables();
static SPELLINGS: [Spelling; COUNT] = TABLES.spellings;
static HEADS: [u16; SLOTS] = TABLES.heads;
static NEXT: [u16; COUNT] = TABLES.next;

#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
#[expect(clippy::cast_possible_truncation, reason = "some five hundred")]
const fn tables() -> Tables {
    let mut tables = Tables {
        spellings: [[0; 3]; COUNT],
        heads: [0; SLOTS],
        next: [0; COUNT],
    };
    let text = KEYWORDS.as_bytes();
    let (mut at, mut number) = (0, 1);
    while number < COUNT {
        let mut length = 0;
        while at < text.len() && text[at] != b' ' {
            tables.spellings[number][length / 8] |= (text[at] as u64) << (length % 8 * 8);
            length += 1;
            at += 1;
        }
        at += 1;
        let slot = slot(&tables.spellings[number]);
        tables.next[number] = tables.heads[slot];
        tables.heads[slot] = number as u16;
        number += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::super::chunk;
    use super::*;

    fn spelling(word: &str) -> Spelling {
        let mut spelling = [0; 3];
        for (number, part) in spelling.iter_mut().zip(word.as_bytes().chunks(8)) {
            *number = chunk::load(part, 0);
        }
        spelling
    }

    #[test]
    fn every_keyword_is_found() {
        let keywords: Vec<&str> = KEYWORDS.split(' ').collect();
        assert_eq!(keywords.len(), 495);
        assert_eq!(COUNT, 496);
        for keyword in keywords {
            assert!(is_keyword(&spelling(keyword)), "{keyword}");
            assert!(keyword.len() <= LONGEST, "{keyword}");
        }
    }

    #[test]
    fn other_words_are_not() {
        for word in ["", "users", "selects", "selec", "id", "current_timestamps"] {
            assert!(!is_keyword(&spelling(word)), "{word}");
        }
    }

    #[test]
    fn few_keywords_share_a_slot() {
        let shared = NEXT.iter().filter(|next| **next != 0).count();
        assert!(shared < COUNT / 6, "{shared}");
    }
}
