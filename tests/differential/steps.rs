//! Random steps: raw commands made from lines with gaps, and managed operations. Long because the lines
//! are named one by one.
use bytes::Bytes;
use holdfast::backend::Removal;
use proptest::prelude::*;

/// One thing to do on both sides.
#[derive(Clone, Debug)]
pub enum Step {
    Raw(Vec<Word>),
    Set(Name, Bytes, Terms),
    /// The flag: what is stale counts too.
    Get(Name, bool),
    Exists(Name),
    Delete(Name),
    Expire(Name),
    Load(Name, Asking, Terms),
    Fill(Name, Bytes, Terms),
    /// The flag: it is kept, not given back.
    Hold(Name, bool),
    Invalidate(Tag, Removal),
    Clear(Cleared),
}

/// What a value is bound to.
#[derive(Clone, Debug)]
pub struct Terms {
    pub expires: bool,
    pub fresh: Fresh,
    pub tags: Vec<Tag>,
}

/// Nothing in between: how much time passes is chance.
#[derive(Clone, Copy, Debug)]
pub enum Fresh {
    Never,
    ForDays,
    Always,
}

/// How a load asks, and whether it leaves the lease to others at once.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    pub force: bool,
    pub refresh: bool,
    pub share: bool,
    pub for_days: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Cleared {
    All,
    Matching(&'static str),
    Tagged,
}

pub type Tag = &'static str;

pub const TAGS: [Tag; 2] = ["t", "{u}"];

/// The name of a managed value.
pub type Name = &'static str;

pub const NAMES: [Name; 3] = ["a", "b", "{c}"];

/// A word of a raw command. Keys get a prefix of their case, times are different ones at each step.
#[derive(Clone, Debug)]
pub enum Word {
    Plain(Bytes),
    Key(&'static str),
    Time(Time),
}

/// From now or as a date, in seconds or milliseconds; far away all of them.
#[derive(Clone, Copy, Debug)]
pub enum Time {
    Seconds,
    Millis,
    Date,
    DateMillis,
}

impl Time {
    /// Different at each step, and not in the order of the steps, so that of two times one is later.
    pub fn at(self, step: usize) -> String {
        let seconds = 100_000 + 1_000 * (step * 37 % 211);
        match self {
            Self::Seconds => seconds.to_string(),
            Self::Millis => (seconds * 1000).to_string(),
            Self::Date => (4_000_000_000 + seconds).to_string(),
            Self::DateMillis => ((4_000_000_000 + seconds) * 1000).to_string(),
        }
    }
}

/// Two keys for each type; a command meets one of another type now and then.
pub const KEYS: [&str; 8] = ["s0", "s1", "h0", "h1", "l0", "l1", "u0", "u1"];

const VALUES: &[&[u8]] = &[
    b"",
    b"1",
    b"-7",
    b"10",
    b"3.5",
    b"0.1",
    b"abc",
    b"x",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"01",
    b" 1",
    b"1e3",
    b"-0",
    b"\xff\x00\x80",
    b"a text that is longer than what servers keep in their compact encodings, 64 bytes",
];

const FIELDS: &[&[u8]] = &[b"a", b"b", b"c", b"", b"field", b"[x]*", b"\xff"];

const NUMBERS: &[&[u8]] = &[
    b"0",
    b"1",
    b"-1",
    b"2",
    b"3",
    b"-2",
    b"10",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"x",
    b"1.5",
    b"",
    b"+1",
    b"01",
];

const FLOATS: &[&[u8]] = &[
    b"0.1",
    b"-0.1",
    b"0.2",
    b"1.5",
    b"3.0e2",
    b"-2e-3",
    b"1e17",
    b"1000.1",
    b"123456789.123456789",
    b"1e308",
    b"1e4000",
    b"-1e4932",
    b"1.1e4932",
    b"5e-18",
    b"1e-30",
    b"-0",
    b".5",
    b"5.",
    b"+3",
    b"inf",
    b"-inf",
    b"nan",
    b"1e5000",
    b"1e-5000",
    b"abc",
    b"",
    b" 1",
    b"1e",
];

const PLACES: &[&[u8]] = &[b"0", b"1", b"2", b"5", b"-1", b"-2", b"-9", b"x"];

/// No end before the text: servers answer differently there, by their version.
const ENDS: &[&[u8]] = &[b"0", b"1", b"2", b"5", b"-1", b"x"];

const COUNTS: &[&[u8]] = &[b"0", b"1", b"2", b"9", b"-1", b"x"];

const PATTERNS: &[&[u8]] = &[
    b"*",
    b"**",
    b"a*",
    b"*l*d",
    b"?",
    b"[a-c]",
    b"[^a]",
    b"[c-a]",
    b"\\[x]\\*",
    b"[[]*",
    b"[a",
    b"",
    b"\xff",
    b"f?*d",
    b"\\a",
];

/// Small letters are gaps: `s`, `h`, `l`, `u` a key that holds a string, a hash, a list or a set, as a
/// rule; `k` any key; `v` a value; `f` a field or member; `n` a number; `d` a float; `i` a place; `e` the
/// end of a part; `c` a number of elements; `p` a pattern; `t`, `m`, `y`, `z` times.
const LINES: &[&str] = &[
    "PING",
    "ECHO v",
    "PING a b",
    "GET s",
    "GET s",
    "GET",
    "MGET k s s",
    "STRLEN s",
    "SET s v",
    "SET s v",
    "SET s n",
    "SET k v",
    "SET s v NX",
    "SET s v XX",
    "SET s v GET",
    "SET s v NX GET",
    "SET s v XX KEEPTTL",
    "SET s v KEEPTTL",
    "SET s v EX t",
    "SET s v PX m GET",
    "SET s v EXAT y",
    "SET s v PXAT z",
    "SET s v EXAT 1",
    "SET s v EX t PX m",
    "SET s v EX t EX t",
    "SET s v EX",
    "SET s v EX 0",
    "SET s v PX -1",
    "SET s v EX x",
    "SET s v EX 9223372036854775807",
    "SET s v PX 9223372036854775807",
    "SET s v NX XX",
    "SET s v WHAT",
    "set s v nx ex t",
    "SETEX s t v",
    "SETEX s 0 v",
    "PSETEX s m v",
    "SETNX s v",
    "MSET s v k v",
    "MSET s v s",
    "MSETNX s v s v",
    "MSETNX s v s",
    "GETSET s v",
    "GETDEL s",
    "GETEX s",
    "GETEX s EX t",
    "GETEX s PX m",
    "GETEX s EXAT y",
    "GETEX s PXAT z",
    "GETEX s EXAT 1",
    "GETEX s PERSIST",
    "GETEX s PERSIST EX t",
    "GETEX s EX 0",
    "APPEND s v",
    "GETRANGE s n e",
    "GETRANGE s i e",
    "SETRANGE s n v",
    "SETRANGE s i v",
    "SETRANGE s 536870912 v",
    "INCR s",
    "DECR s",
    "INCRBY s n",
    "DECRBY s n",
    "INCRBYFLOAT s d",
    "INCRBYFLOAT s d",
    "DEL k",
    "DEL k k",
    "UNLINK k k",
    "EXISTS k k k",
    "TOUCH k k",
    "TYPE k",
    "RENAME k k",
    "RENAMENX k k",
    "COPY k k",
    "COPY k k REPLACE",
    "COPY k k WHAT",
    "EXPIRE k t",
    "PEXPIRE k m",
    "EXPIREAT k y",
    "PEXPIREAT k z",
    "EXPIRE k t NX",
    "EXPIRE k t XX",
    "EXPIRE k t GT",
    "PEXPIRE k m LT",
    "EXPIREAT k y XX GT",
    "PEXPIREAT k z lt",
    "EXPIRE k t NX XX",
    "EXPIRE k t GT LT",
    "EXPIRE k t WHAT",
    "EXPIRE k 0",
    "EXPIRE k -1",
    "EXPIRE k x",
    "EXPIREAT k 1",
    "PEXPIREAT k -5",
    "EXPIRE k 9223372036854775807",
    "PEXPIRE k 9223372036854775807",
    "PERSIST k",
    "TTL k",
    "PTTL k",
    "HSET h f v",
    "HSET h f v f v",
    "HSET h f n f d",
    "HSET h f v f",
    "HMSET h f v f v",
    "HSETNX h f v",
    "HGET h f",
    "HMGET h f f f",
    "HGETALL h",
    "HKEYS h",
    "HVALS h",
    "HLEN h",
    "HEXISTS h f",
    "HSTRLEN h f",
    "HDEL h f",
    "HDEL h f f f",
    "HINCRBY h f n",
    "HINCRBY h f n",
    "HINCRBYFLOAT h f d",
    "HINCRBYFLOAT h f d",
    "HSCAN h 0 COUNT 1000",
    "HSCAN h 0 MATCH p COUNT 1000",
    "HSCAN h x",
    "HSCAN h 0 COUNT 0",
    "HSCAN h 0 TYPE string",
    "LPUSH l v",
    "LPUSH l v v v",
    "RPUSH l v v",
    "RPUSH l f f",
    "LPUSHX l v",
    "RPUSHX l v v",
    "LPOP l",
    "RPOP l",
    "LPOP l c",
    "RPOP l c",
    "LPOP l 1 2",
    "LLEN l",
    "LRANGE l 0 -1",
    "LRANGE l i i",
    "LRANGE l n n",
    "LINDEX l i",
    "LSET l i v",
    "LREM l n v",
    "LREM l i f",
    "LTRIM l i i",
    "LTRIM l 0 9",
    "LINSERT l BEFORE f v",
    "LINSERT l AFTER v f",
    "LINSERT l BESIDE v v",
    "LMOVE l l LEFT RIGHT",
    "LMOVE l l RIGHT LEFT",
    "LMOVE l k left left",
    "LMOVE l l LEFT UP",
    "RPOPLPUSH l l",
    "RPOPLPUSH l k",
    "SADD u f",
    "SADD u f f f",
    "SADD u v n",
    "SREM u f",
    "SREM u f f f",
    "SISMEMBER u f",
    "SMISMEMBER u f f",
    "SMEMBERS u",
    "SCARD u",
    "SPOP u 99",
    "SPOP u 0",
    "SPOP u x",
    "SPOP u 1 2",
    "SRANDMEMBER u 99",
    "SRANDMEMBER u 0",
    "SRANDMEMBER u x",
    "SUNION u u",
    "SINTER u u",
    "SDIFF u u",
    "SUNION u k",
    "SINTER k u",
    "SDIFF u k u",
    "SUNIONSTORE u u u",
    "SINTERSTORE k u u",
    "SDIFFSTORE u u k",
    "SMOVE u u f",
    "SMOVE u k f",
    "SSCAN u 0 COUNT 1000",
    "SSCAN u 0 MATCH p COUNT 1000",
    "SSCAN u 0 WHAT",
    "SCAN x",
    "SCAN 0 COUNT 0",
    "SCAN 0 COUNT x",
    "SCAN 0 MATCH",
    "SCAN 0 WHAT 1",
];

/// More choices than any line has gaps.
const MOST_GAPS: usize = 8;

fn filled(line: &str, choices: &[u16]) -> Vec<Word> {
    let mut choices = choices.iter().map(|choice| usize::from(*choice));
    line.split(' ').map(|word| word_for(word, || choices.next().unwrap())).collect()
}

fn word_for(word: &str, mut choice: impl FnMut() -> usize) -> Word {
    let mut one_of = |pool: &[&'static [u8]]| {
        let at = choice() % pool.len();
        Word::Plain(Bytes::from_static(pool[at]))
    };
    match word {
        "v" => one_of(VALUES),
        "f" => one_of(FIELDS),
        "n" => one_of(NUMBERS),
        "d" => one_of(FLOATS),
        "i" => one_of(PLACES),
        "e" => one_of(ENDS),
        "c" => one_of(COUNTS),
        "p" => one_of(PATTERNS),
        "t" => Word::Time(Time::Seconds),
        "m" => Word::Time(Time::Millis),
        "y" => Word::Time(Time::Date),
        "z" => Word::Time(Time::DateMillis),
        "s" => Word::Key(key_of(0, choice())),
        "h" => Word::Key(key_of(2, choice())),
        "l" => Word::Key(key_of(4, choice())),
        "u" => Word::Key(key_of(6, choice())),
        "k" => Word::Key(KEYS[choice() % KEYS.len()]),
        plain => Word::Plain(Bytes::copy_from_slice(plain.as_bytes())),
    }
}

/// One of the two keys of a type; one time of sixteen any.
fn key_of(first: usize, choice: usize) -> &'static str {
    if choice % 16 == 15 { KEYS[choice / 16 % KEYS.len()] } else { KEYS[first + choice % 2] }
}

fn any_raw() -> impl Strategy<Value = Step> {
    (prop::sample::select(LINES), prop::collection::vec(any::<u16>(), MOST_GAPS))
        .prop_map(|(line, choices)| Step::Raw(filled(line, &choices)))
}

fn any_name() -> impl Strategy<Value = Name> {
    prop::sample::select(NAMES.to_vec())
}

fn any_value() -> impl Strategy<Value = Bytes> {
    prop::sample::select(VALUES).prop_map(Bytes::from_static)
}

pub fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => any_raw(),
        6 => (any_name(), any_value(), any_terms())
            .prop_map(|(name, value, terms)| Step::Set(name, value, terms)),
        6 => (any_name(), any::<bool>()).prop_map(|(name, stale)| Step::Get(name, stale)),
        2 => any_name().prop_map(Step::Exists),
        2 => any_name().prop_map(Step::Delete),
        2 => any_name().prop_map(Step::Expire),
        6 => (any_name(), any_asking(), any_terms())
            .prop_map(|(name, asking, terms)| Step::Load(name, asking, terms)),
        6 => (any_name(), any_value(), any_terms())
            .prop_map(|(name, value, terms)| Step::Fill(name, value, terms)),
        2 => (any_name(), any::<bool>()).prop_map(|(name, kept)| Step::Hold(name, kept)),
        2 => (prop::sample::select(TAGS.to_vec()), any_removal())
            .prop_map(|(tag, removal)| Step::Invalidate(tag, removal)),
        1 => any_cleared().prop_map(Step::Clear),
    ]
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let fresh =
        prop_oneof![4 => Just(Fresh::Always), 1 => Just(Fresh::Never), 2 => Just(Fresh::ForDays)];
    let tags = prop::sample::subsequence(TAGS.to_vec(), 0..=TAGS.len());
    (any::<bool>(), fresh, tags).prop_map(|(expires, fresh, tags)| Terms { expires, fresh, tags })
}

fn any_asking() -> impl Strategy<Value = Asking> {
    let rarely = || prop::bool::weighted(0.2);
    (rarely(), rarely(), rarely(), any::<bool>())
        .prop_map(|(force, refresh, share, for_days)| Asking { force, refresh, share, for_days })
}

fn any_removal() -> impl Strategy<Value = Removal> {
    prop_oneof![Just(Removal::Delete), Just(Removal::Expire)]
}

fn any_cleared() -> impl Strategy<Value = Cleared> {
    let patterns = prop::sample::select(vec!["*", "a*", "?", "{c}", "[ab]", "none*"]);
    prop_oneof![Just(Cleared::All), Just(Cleared::Tagged), patterns.prop_map(Cleared::Matching)]
}
