//! Changes of raw counters, hashes, sets and lists that merge: they can wait for a server, be folded
//! together meanwhile, and be carried out once whatever else was done to the key.
//!
//! Each has an id, the process and a number. The server keeps the ids of what it carried out beside the key,
//! noted in the same step, until they are closed: so it tells a repeat, in whatever order they come.
use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::number::Number;
use crate::base::stamp::Stamp;

/// So long does a server know which changes it has carried out, ms.
pub const KNOWN_MS: u64 = 86_400_000;
/// So many words of changes may wait for one key: all of them go to the server in one step.
const MOST_WORDS: usize = 100_000;
/// What a part of a change costs beside its bytes: its node, and the headers of two texts.
const PART: usize = 192;

/// One change of one key, or several folded together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Counts up, or down.
    Add(i64),
    /// What became of fields of a hash; `None` = removed. Each with its own place in the order of writes.
    Fields(BTreeMap<Bytes, (Option<Bytes>, Stamp)>),
    /// What became of members of a set: whether they belong to it.
    Members(BTreeMap<Bytes, (bool, Stamp)>),
    /// Adds to the head of a list, or to its tail, one after the other.
    Push { head: bool, values: Vec<Bytes> },
}

/// A change that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number among the changes of its process; folded, that of the last one.
    pub number: Number,
    pub stamp: Stamp,
    /// It may have reached the server already, so it stays as it is.
    pub sent: bool,
    pub change: Change,
}

/// What waits for one key, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    entries: Vec<Entry>,
    size: Size,
}

impl Change {
    /// Reads a raw command that is such a change, its name and key included.
    pub fn of(args: &[Bytes], stamp: Stamp) -> Option<Self> {
        let [name, _, rest @ ..] = args else { return None };
        // As the server reads it: no sign but a minus, and no zeros before.
        let number = |text: &Bytes| {
            let number = std::str::from_utf8(text).ok()?.parse::<i64>().ok()?;
            (number.to_string().as_bytes() == text.as_ref()).then_some(number)
        };
        let members = |is: bool| {
            let members = rest.iter().map(|member| (member.clone(), (is, stamp)));
            (!rest.is_empty()).then(|| Self::Members(members.collect()))
        };
        let push = |head| (!rest.is_empty()).then(|| Self::Push { head, values: rest.to_vec() });
        match (name.to_ascii_uppercase().as_slice(), rest) {
            (b"INCR", []) => Some(Self::Add(1)),
            (b"DECR", []) => Some(Self::Add(-1)),
            (b"INCRBY", [by]) => number(by).map(Self::Add),
            (b"DECRBY", [by]) => number(by)?.checked_neg().map(Self::Add),
            (b"HSET", [_, ..]) if rest.len().is_multiple_of(2) => {
                let pairs = rest.chunks_exact(2).filter_map(|pair| match pair {
                    [field, value] => Some((field.clone(), (Some(value.clone()), stamp))),
                    _ => None,
                });
                Some(Self::Fields(pairs.collect()))
            }
            (b"HDEL", [_, ..]) => Some(Self::Fields(
                rest.iter().map(|field| (field.clone(), (None, stamp))).collect(),
            )),
            (b"SADD", _) => members(true),
            (b"SREM", _) => members(false),
            (b"LPUSH", _) => push(true),
            (b"RPUSH", _) => push(false),
            _ => None,
        }
    }

    fn move_stamps(&mut self, moved: &dyn Fn(Stamp) -> Stamp) {
        match self {
            Self::Fields(fields) => fields.values_mut().for_each(|(_, at)| *at = moved(*at)),
            Self::Members(members) => members.values_mut().for_each(|(_, at)| *at = moved(*at)),
            Self::Add(_) | Self::Push { .. } => {}
        }
    }

    /// Takes another change into this one, if they fold. Of a part that both have the newer one stays; answers
    /// what of the other's size does not count, since its part or the one it replaces is gone.
    fn fold(&mut self, other: Self) -> Result<Size, Self> {
        let mut gone = Size::default();
        match (self, other) {
            (Self::Add(sum), Self::Add(by)) => match sum.checked_add(by) {
                Some(both) => {
                    *sum = both;
                    gone = Self::Add(by).size();
                }
                None => return Err(Self::Add(by)),
            },
            (Self::Fields(fields), Self::Fields(others)) => {
                for part in others {
                    if let Some((field, (value, _))) = keep_newer(fields, part) {
                        gone += field_size(&field, value.as_ref());
                    }
                }
            }
            (Self::Members(members), Self::Members(others)) => {
                for part in others {
                    if let Some((member, _)) = keep_newer(members, part) {
                        gone += member_size(&member);
                    }
                }
            }
            (Self::Push { head, values }, Self::Push { head: same, values: others })
                if *head == same =>
            {
                values.extend(others);
            }
            (_, other) => return Err(other),
        }
        Ok(gone)
    }

    fn size(&self) -> Size {
        match self {
            Self::Add(_) => Size { words: 1, bytes: 0 },
            Self::Fields(fields) => {
                fields.iter().map(|(field, (value, _))| field_size(field, value.as_ref())).sum()
            }
            Self::Members(members) => members.keys().map(member_size).sum(),
            Self::Push { values, .. } => Size {
                words: values.len(),
                bytes: values.iter().map(|value| PART / 2 + value.len()).sum(),
            },
        }
    }
}

/// How many words a change takes on the wire, and how many bytes in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    words: usize,
    bytes: usize,
}

impl std::ops::AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.words += other.words;
        self.bytes += other.bytes;
    }
}

impl std::iter::Sum for Size {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

type Part<T> = (Bytes, (T, Stamp));

fn field_size(field: &Bytes, value: Option<&Bytes>) -> Size {
    Size { words: 5, bytes: PART + field.len() + value.map_or(0, Bytes::len) }
}

fn member_size(member: &Bytes) -> Size {
    Size { words: 4, bytes: PART + member.len() }
}

/// Answers the part that is gone, if there were two.
fn keep_newer<T>(parts: &mut BTreeMap<Bytes, (T, Stamp)>, (name, new): Part<T>) -> Option<Part<T>> {
    if parts.get(&name).is_some_and(|(_, other)| *other > new.1) {
        return Some((name, new));
    }
    parts.insert(name.clone(), new).map(|old| (name, old))
}

impl Entry {
    /// By which it is told from every other.
    pub fn id(&self) -> (u64, u64) {
        (self.stamp.process, self.number.value())
    }

    /// What a change costs as one that waits.
    pub fn weight(change: &Change) -> usize {
        PART + change.size().bytes
    }
}

impl Changes {
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn bytes(&self) -> usize {
        self.size.bytes
    }

    /// The last one. Its stamp is the newest of what was folded into it, and not always the newest of all: what
    /// others left behind stands before what came here, whatever its stamps.
    pub fn last(&self) -> Option<&Entry> {
        self.entries.last()
    }

    /// Whether so much more may wait for this key.
    pub fn takes(&self, change: &Change) -> bool {
        self.size.words + change.size().words <= MOST_WORDS
    }

    /// Adds a change behind the others; folded into the last one where that can't have reached the server.
    pub fn push(&mut self, entry: Entry) {
        if let Some(last) = self.entries.last_mut()
            && !(last.sent || entry.sent)
            && last.stamp.process == entry.stamp.process
        {
            let Entry { number, stamp, sent, change } = entry;
            let size = change.size();
            match last.change.fold(change) {
                Ok(gone) => {
                    (last.number, last.stamp) = (number, last.stamp.max(stamp));
                    self.size += size;
                    self.size.words -= gone.words;
                    self.size.bytes -= gone.bytes;
                }
                Err(change) => self.append(Entry { number, stamp, sent, change }),
            }
            return;
        }
        self.append(entry);
    }

    fn append(&mut self, entry: Entry) {
        self.size += Size { words: 6, bytes: PART };
        self.size += entry.change.size();
        self.entries.push(entry);
    }

    /// They may have reached the server from now on.
    pub fn mark_sent(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.sent = true);
    }

    /// Puts what came back from an attempt before what came meanwhile.
    pub fn put_before(&mut self, mut former: Self) {
        former.size += self.size;
        former.entries.append(&mut self.entries);
        *self = former;
    }

    /// Leaves only what is not settled.
    pub fn forget(&mut self, settled: &dyn Fn(&Entry) -> bool) {
        let entries = std::mem::take(&mut self.entries);
        *self = Self::default();
        let rest = entries.into_iter().filter(|entry| !settled(entry));
        rest.for_each(|entry| self.append(entry));
    }

    /// The same with every stamp moved.
    pub fn moved(mut self, moved: &dyn Fn(Stamp) -> Stamp) -> Self {
        for entry in &mut self.entries {
            entry.stamp = moved(entry.stamp);
            entry.change.move_stamps(moved);
        }
        self
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl FromIterator<Entry> for Changes {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut changes = Self::default();
        entries.into_iter().for_each(|entry| changes.push(entry));
        changes
    }
}

fn is_one_of(args: &[Bytes], names: &[&str]) -> bool {
    let is = |name: &Bytes| names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    args.first().is_some_and(is)
}

/// Whether memory can answer this raw command from what was changed there: it only reads, and one key.
pub fn is_read(args: &[Bytes]) -> bool {
    const READS: [&str; 16] = [
        "EXISTS",
        "GET",
        "HEXISTS",
        "HGET",
        "HGETALL",
        "HKEYS",
        "HLEN",
        "HMGET",
        "HVALS",
        "LINDEX",
        "LLEN",
        "LRANGE",
        "SCARD",
        "SISMEMBER",
        "SMEMBERS",
        "TYPE",
    ];
    // With more keys than one it asks for what memory may not know.
    is_one_of(args, &READS) && !(is_one_of(args, &["EXISTS"]) && args.len() != 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(micros: u64) -> Stamp {
        Stamp { micros, process: 1 }
    }

    fn entry(command: &str, at: u64, sent: bool) -> Entry {
        let args: Vec<Bytes> =
            command.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        let change = Change::of(&args, stamp(at)).unwrap();
        Entry { number: Number::foreign(at), stamp: stamp(at), sent, change }
    }

    fn waiting(commands: &[(&str, bool)]) -> Changes {
        commands.iter().zip(1..).map(|((command, sent), at)| entry(command, at, *sent)).collect()
    }

    #[test]
    fn what_was_never_sent_folds_into_one_and_keeps_the_last_number() {
        let counted = waiting(&[("INCR k", false), ("INCRBY k 5", false), ("DECR k", false)]);
        assert_eq!(counted.entries().len(), 1);
        assert_eq!(
            (&counted.entries()[0].change, counted.entries()[0].id()),
            (&Change::Add(5), (1, 3))
        );
        let pushed = waiting(&[("RPUSH k a b", false), ("rpush k c", false), ("LPUSH k d", false)]);
        assert_eq!(pushed.entries().len(), 2, "head and tail stay apart");
        assert_eq!(pushed.entries()[0].id(), (1, 2));
    }

    #[test]
    fn fields_and_members_keep_their_own_places_in_the_order() {
        let fields = waiting(&[("HSET k a 1 b 2", false), ("HDEL k b", false)]);
        let [Entry { change: Change::Fields(fields), .. }] = fields.entries() else { panic!() };
        assert_eq!(fields[&b"a"[..]], (Some(Bytes::from("1")), stamp(1)));
        assert_eq!(fields[&b"b"[..]], (None, stamp(2)));
        let members = waiting(&[("SADD k a b", false), ("SREM k a", false)]);
        let [Entry { change: Change::Members(members), .. }] = members.entries() else { panic!() };
        assert_eq!(members[&b"a"[..]], (false, stamp(2)));
        assert_eq!(members[&b"b"[..]], (true, stamp(1)));
    }

    #[test]
    fn what_may_have_reached_the_server_stays_as_it_is() {
        let mut changes = waiting(&[("INCR k", true), ("INCR k", false), ("INCR k", false)]);
        assert_eq!(changes.entries().len(), 2);
        let mut former = std::mem::take(&mut changes);
        former.mark_sent();
        changes.push(entry("INCR k", 9, false));
        changes.put_before(former);
        changes.push(entry("INCR k", 10, false));
        let sums: Vec<_> = changes.entries().iter().map(|entry| &entry.change).collect();
        assert_eq!(sums, [&Change::Add(1), &Change::Add(2), &Change::Add(2)]);
        assert!(changes.entries()[1].sent && !changes.entries()[2].sent);
    }

    #[test]
    fn a_sum_that_no_counter_holds_is_not_folded() {
        let most = format!("INCRBY k {}", i64::MAX);
        assert_eq!(waiting(&[(&most, false), ("INCR k", false)]).entries().len(), 2);
    }

    #[test]
    fn other_commands_are_no_such_changes() {
        for command in [
            "GET k",
            "SET k v",
            "INCRBY k x",
            "INCRBY k",
            "INCR k 1",
            "HSET k a",
            "HSET k",
            "SADD k",
            "RPUSH k",
            "DECRBY k -9223372036854775808",
            "INCRBY k +5",
            "INCRBY k 05",
            "INCRBYFLOAT k 1",
            "LPOP k",
            "INCR",
        ] {
            let args: Vec<Bytes> =
                command.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
            assert_eq!(Change::of(&args, stamp(1)), None, "{command}");
        }
    }

    #[test]
    fn of_two_changes_of_a_field_the_newer_stays_in_whatever_order_they_come() {
        let mut changes = Changes::default();
        changes.push(entry("HSET k a new", 5, false));
        changes.push(entry("HSET k a old b 1", 3, false));
        let [Entry { change: Change::Fields(fields), .. }] = changes.entries() else { panic!() };
        assert_eq!(fields[&b"a"[..]], (Some(Bytes::from("new")), stamp(5)));
        assert_eq!(changes.last().unwrap().stamp, stamp(5));
    }

    #[test]
    fn what_folds_costs_no_more_than_what_is_left_of_it() {
        let mut changes = Changes::default();
        for at in 0..300_000 {
            changes.push(entry("INCR k", at, false));
        }
        assert!(
            changes.takes(&Change::Add(1)) && changes.size.words < 100 && changes.bytes() < 1_000
        );
        let word = Bytes::from_static(b"x");
        let push = |count| Change::Push { head: false, values: vec![word.clone(); count] };
        assert!(changes.takes(&push(MOST_WORDS / 2)) && !changes.takes(&push(MOST_WORDS)));
        changes.forget(&|_| true);
        assert!(changes.is_empty() && changes.bytes() == 0);
    }
}
