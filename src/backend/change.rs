//! Changes of raw counters, hashes, sets and lists that merge: they can wait for a server, be folded
//! together meanwhile, and be carried out once whatever else was done to the key.
//!
//! Each has an id, the process and a number that only grows there. The server keeps the last id of each
//! process beside the key, in the same step that carries the change out, and so tells a repeat.
use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::stamp::Stamp;

/// So long does a server know which changes it has carried out, ms.
pub const KNOWN_MS: u64 = 86_400_000;
/// So many words of changes may wait for one key: all of them go to the server in one step.
const MOST_WORDS: usize = 400_000;
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
    pub number: u64,
    pub stamp: Stamp,
    /// It may have reached the server already, so it stays as it is.
    pub sent: bool,
    pub change: Change,
}

/// What waits for one key, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    entries: Vec<Entry>,
    bytes: usize,
    words: usize,
}

impl Change {
    /// Reads a raw command that is such a change, its name and key included.
    pub fn of(args: &[Bytes], stamp: Stamp) -> Option<Self> {
        let [name, _, rest @ ..] = args else { return None };
        let number = |text: &Bytes| std::str::from_utf8(text).ok()?.parse::<i64>().ok();
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

    /// The same change in another place in the order of writes.
    pub fn restamped(mut self, stamp: Stamp) -> Self {
        self.move_stamps(&|_| stamp);
        self
    }

    fn move_stamps(&mut self, moved: &dyn Fn(Stamp) -> Stamp) {
        match self {
            Self::Fields(fields) => fields.values_mut().for_each(|(_, at)| *at = moved(*at)),
            Self::Members(members) => members.values_mut().for_each(|(_, at)| *at = moved(*at)),
            Self::Add(_) | Self::Push { .. } => {}
        }
    }

    /// Takes a later change into this one, if they fold.
    fn fold(&mut self, later: Self) -> Result<(), Self> {
        match (self, later) {
            (Self::Add(sum), Self::Add(by)) => match sum.checked_add(by) {
                Some(both) => *sum = both,
                None => return Err(Self::Add(by)),
            },
            (Self::Fields(fields), Self::Fields(later)) => fields.extend(later),
            (Self::Members(members), Self::Members(later)) => members.extend(later),
            (Self::Push { head, values }, Self::Push { head: same, values: later })
                if *head == same =>
            {
                values.extend(later);
            }
            (_, later) => return Err(later),
        }
        Ok(())
    }

    /// How many words it takes on the wire, and how many bytes in memory.
    fn size(&self) -> (usize, usize) {
        match self {
            Self::Add(_) => (1, 0),
            Self::Fields(fields) => {
                let bytes = |(field, (value, _)): (&Bytes, &(Option<Bytes>, Stamp))| {
                    PART + field.len() + value.as_ref().map_or(0, Bytes::len)
                };
                (5 * fields.len(), fields.iter().map(bytes).sum())
            }
            Self::Members(members) => {
                (4 * members.len(), members.keys().map(|member| PART + member.len()).sum())
            }
            Self::Push { values, .. } => {
                (values.len(), values.iter().map(|value| PART / 2 + value.len()).sum())
            }
        }
    }

    /// Whether it is of a kind whose parts yield to newer ones.
    pub fn yields(&self) -> bool {
        matches!(self, Self::Fields(_) | Self::Members(_))
    }
}

impl Entry {
    pub fn new(change: Change, stamp: Stamp, sent: bool) -> Self {
        Self { number: stamp.micros, stamp, sent, change }
    }

    /// What a change costs as one that waits.
    pub fn weight(change: &Change) -> usize {
        PART + change.size().1
    }
}

impl Changes {
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The last one; its stamp is the newest.
    pub fn last(&self) -> Option<&Entry> {
        self.entries.last()
    }

    /// Whether so much more may wait for this key.
    pub fn takes(&self, change: &Change) -> bool {
        self.words + change.size().0 <= MOST_WORDS
    }

    /// Adds a change behind the others; folded into the last one where that can't have reached the server.
    pub fn push(&mut self, entry: Entry) {
        let (words, bytes) = entry.change.size();
        let Entry { number, stamp, sent, change } = entry;
        let Some(last) = self
            .entries
            .last_mut()
            .filter(|last| !(last.sent || sent) && last.stamp.process == stamp.process)
        else {
            return self.append(Entry { number, stamp, sent, change });
        };
        match last.change.fold(change) {
            Ok(()) => {
                (last.number, last.stamp) = (number, stamp);
                // A part that took the place of another is counted again when it leaves.
                self.words += words;
                self.bytes += bytes;
            }
            Err(change) => self.append(Entry { number, stamp, sent, change }),
        }
    }

    /// What may have reached the server goes before what came later, though it is heard of only now.
    fn append(&mut self, entry: Entry) {
        self.words += 6 + entry.change.size().0;
        self.bytes += Entry::weight(&entry.change);
        let later = |other: &Entry| {
            entry.sent && other.stamp.process == entry.stamp.process && other.number > entry.number
        };
        let at = self.entries.iter().rposition(|other| !later(other)).map_or(0, |at| at + 1);
        self.entries.insert(at, entry);
    }

    /// Puts what came back from an attempt before what came meanwhile.
    pub fn put_before(&mut self, mut former: Self) {
        former.entries.iter_mut().for_each(|entry| entry.sent = true);
        former.words += self.words;
        former.bytes += self.bytes;
        former.entries.append(&mut self.entries);
        *self = former;
    }

    /// Leaves only what is not settled.
    pub fn forget(&mut self, settled: &dyn Fn(Stamp) -> bool) {
        let entries = std::mem::take(&mut self.entries);
        *self = Self::default();
        let rest = entries.into_iter().filter(|entry| !settled(entry.stamp));
        rest.for_each(|entry| self.append(entry));
    }

    /// The same as they came from a file: any of them may have reached the server.
    pub fn adopted(mut self, moved: &dyn Fn(Stamp) -> Stamp) -> Self {
        for entry in &mut self.entries {
            entry.sent = true;
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
    let Some(name) = args.first().map(|name| name.to_ascii_uppercase()) else { return false };
    READS.iter().any(|read| read.as_bytes() == name)
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
        Entry::new(Change::of(&args, stamp(at)).unwrap(), stamp(at), sent)
    }

    fn waiting(commands: &[(&str, bool)]) -> Changes {
        commands.iter().zip(1..).map(|((command, sent), at)| entry(command, at, *sent)).collect()
    }

    #[test]
    fn what_was_never_sent_folds_into_one_and_keeps_the_last_number() {
        let counted = waiting(&[("INCR k", false), ("INCRBY k 5", false), ("DECR k", false)]);
        assert_eq!(counted.entries(), [Entry::new(Change::Add(5), stamp(3), false)]);
        let pushed = waiting(&[("RPUSH k a b", false), ("rpush k c", false), ("LPUSH k d", false)]);
        assert_eq!(pushed.entries().len(), 2, "head and tail stay apart");
        assert_eq!(pushed.entries()[0].number, 2);
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
        let former = std::mem::take(&mut changes);
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
    fn too_much_for_one_key_is_noticed_and_bytes_are_given_back() {
        let mut changes = Changes::default();
        let word = Bytes::from_static(b"x");
        let push = |count| Change::Push { head: false, values: vec![word.clone(); count] };
        assert!(changes.takes(&push(MOST_WORDS)));
        changes.push(Entry::new(push(MOST_WORDS - 10), stamp(1), false));
        assert!(!changes.takes(&push(11)));
        changes.forget(&|other| other <= stamp(1));
        assert!(changes.is_empty() && changes.bytes() == 0);
    }
}
