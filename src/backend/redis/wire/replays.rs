//! What is replayed, and what compares before it removes.
use std::collections::BTreeSet;

use bytes::Bytes;
use redis::{Cmd, Pipeline};

use super::super::script::{CHANGE, NOTE_CLEAR, REPLAY_DELETE, REPLAY_SET};
use super::messages::publish;
use super::{Group, Wire, command};
use crate::backend::change::{Change, Entry, KNOWN_MS};
use crate::backend::intent::{EndAll, Intent, Wish};
use crate::backend::message::LATE;
use crate::backend::{Scope, Value};
use crate::base::keys::Keys;
use crate::base::plant::Plant;
use crate::base::stamp::Stamp;
use crate::codec::envelope;
use crate::config::SyncMode;

impl Wire {
    /// Adds an intent's commands to a pipeline; answers how many replies it will have, the last of which is how
    /// it ended. `certain` says that nothing that this intent depends on may be forgotten.
    pub fn encode_intent(
        &self,
        intent: &Intent,
        now: u64,
        certain: bool,
        out: &mut Pipeline,
    ) -> usize {
        let Intent { key, stamp, wish } = intent;
        match wish {
            Wish::Set { value, expires_at, fresh_until, expired, .. } => {
                let left = |at: u64| at.saturating_sub(now) / 1000;
                let mut value = value.clone();
                value.policy.fresh_ms = fresh_until.map(left);
                let left = expires_at.map(left);
                let replies = self.encode_set(key, &value, left, *stamp, certain, out);
                if let Some(stamp) = expired {
                    out.add_command(self.expire(key, **stamp, false));
                }
                return replies + usize::from(expired.is_some());
            }
            Wish::Invalidate(removals) => {
                for &(removal, stamp) in removals {
                    out.add_command(self.invalidate(key, removal, stamp, false));
                }
                return removals.len();
            }
            Wish::Change(changes) => {
                out.add_command(self.changes(key, changes.entries(), b"replay", certain))
            }
            Wish::Rate(owed) => {
                // Each process has its own marks.
                let runs = owed.acts().chunk_by(|one, next| one.process == next.process);
                let mut count = 0;
                for run in runs {
                    let process = run.first().map_or(0, |due| due.process);
                    let mut group = Group::new(&owed.limiter, process);
                    let acts: Vec<_> = run.iter().map(|due| (&due.act, true, true)).collect();
                    group.add(key, &acts, now);
                    out.add_command(group.command());
                    count += 1;
                }
                return count;
            }
            Wish::Session(delta) => {
                out.add_command(self.session_write(key, delta, None, 0, b"replay"))
            }
            Wish::End(ms) => out.add_command(self.session_end(key, *ms, b"replay")),
            Wish::EndAll(EndAll { absolute_ms, keep, others }) => {
                if let Some(at) = others {
                    out.add_command(self.end_all(key, *at, None, *absolute_ms, b"replay"));
                }
                out.add_command(self.end_all(key, *stamp, keep.as_ref(), *absolute_ms, b"replay"));
                return 1 + usize::from(others.is_some());
            }
            Wish::Publish(waiting) => {
                if waiting.is_empty() {
                    out.add_command(command(&[b"EXISTS", key]));
                    return 1;
                }
                for held in waiting.iter() {
                    out.add_command(publish(key, &waiting.channel, &held.message, LATE));
                }
                return waiting.len();
            }
            Wish::Expire => out.add_command(self.expire(key, *stamp, false)),
            Wish::Delete => out.add_command(self.replay_delete(key, *stamp)),
        };
        1
    }

    fn encode_set(
        &self,
        key: &Bytes,
        value: &Value,
        left: Option<u64>,
        stamp: Stamp,
        certain: bool,
        out: &mut Pipeline,
    ) -> usize {
        let planted = self.config.planted;
        if planted == Some(Plant::ExpiredIsForgotten) && left == Some(0) {
            out.add_command(command(&[b"EXISTS", b""]));
            return 1;
        }
        let (left, mode) = match planted {
            Some(Plant::FullLifetime) => (left.map(|_| 3_600_000), self.mode()),
            Some(Plant::NoComparison) => (left, b"overwrite".as_slice()),
            _ => (left, self.mode()),
        };
        // A value that expired while Redis was away leaves only "delete older than".
        if left == Some(0) {
            out.add_command(self.replay_delete(key, stamp));
            return 1;
        }
        let marks = self.marks(&value.policy.tags, stamp, left, certain, out);
        out.add_command(self.replay_set(key, value, left, stamp, mode, certain));
        marks + 1
    }

    /// Changes of one key, in order, in one step.
    pub(super) fn changes(
        &self,
        key: &Bytes,
        entries: &[Entry],
        mode: &[u8],
        certain: bool,
    ) -> Cmd {
        let record = self.keys.record(key).unwrap_or_else(|| self.keys.side(key));
        let own = self.stamps.process();
        // Our own first: the floor is about them.
        let others = entries.iter().map(|entry| entry.stamp.process).filter(|&other| other != own);
        let processes: Vec<u64> =
            std::iter::once(own).chain(others.collect::<BTreeSet<_>>()).collect();
        let ids: Vec<Bytes> =
            processes.iter().map(|&process| Keys::ids(&record, process)).collect();
        let mut keys: Vec<&[u8]> = vec![key, &record];
        keys.extend(ids.iter().map(Bytes::as_ref));
        let flag = |yes: bool| if yes { "1" } else { "0" };
        let (life, floor) = (KNOWN_MS.to_string(), self.stamps.numbers.floor().to_string());
        let mut cmd = CHANGE
            .call(&keys, &[mode, flag(certain).as_bytes(), life.as_bytes(), floor.as_bytes()]);
        for entry in entries {
            let place = |stamp: Stamp| {
                let stamp = self.stamps.settle(stamp);
                (stamp.micros, stamp.process)
            };
            let (process, number) = entry.id();
            let ids = processes.iter().position(|&other| other == process).unwrap_or(0);
            cmd.arg(3 + ids).arg(number).arg(flag(entry.sent));
            match &entry.change {
                Change::Add(by) => {
                    cmd.arg("add").arg(1).arg(*by);
                }
                Change::Fields(fields) => {
                    cmd.arg("fields").arg(5 * fields.len());
                    for (field, (value, stamp)) in fields {
                        let (micros, process) = place(*stamp);
                        let (kept, value) = (flag(value.is_some()), value.as_deref());
                        cmd.arg(field.as_ref()).arg(value.unwrap_or_default());
                        cmd.arg(kept).arg(micros).arg(process);
                    }
                }
                Change::Members(members) => {
                    cmd.arg("members").arg(4 * members.len());
                    for (member, (is, stamp)) in members {
                        let (micros, process) = place(*stamp);
                        cmd.arg(member.as_ref()).arg(flag(*is)).arg(micros).arg(process);
                    }
                }
                Change::Push { head, values } => {
                    cmd.arg(if *head { "head" } else { "tail" }).arg(values.len());
                    values.iter().for_each(|value| {
                        cmd.arg(value.as_ref());
                    });
                }
            }
        }
        cmd
    }

    /// Notes that a scope is cleared, for as long as tombstones live.
    pub fn note_clear(&self, scope: &Scope, stamp: Stamp) -> Cmd {
        let micros = self.stamps.settle(stamp).micros.to_string();
        let kept = self.config.tombstone_ttl.as_millis().to_string();
        NOTE_CLEAR
            .call(&[&self.keys.clears()], &[&scope.text(), micros.as_bytes(), kept.as_bytes()])
    }

    /// Asks what was cleared lately.
    pub fn ask_clears(&self) -> Cmd {
        command(&[b"HGETALL", &self.keys.clears()])
    }

    pub fn replay_delete(&self, key: &Bytes, stamp: Stamp) -> Cmd {
        self.delete_up_to(key, stamp, None)
    }

    /// The same, and others' values up to those microseconds.
    pub fn delete_up_to(&self, key: &Bytes, stamp: Stamp, others: Option<u64>) -> Cmd {
        let stamp = self.stamps.settle(stamp);
        let others = others.map(|micros| micros.to_string()).unwrap_or_default();
        REPLAY_DELETE.call(
            &[key, &self.keys.side(key)],
            &[
                stamp.micros.to_string().as_bytes(),
                stamp.process.to_string().as_bytes(),
                &envelope::tombstone(stamp),
                self.config.tombstone_ttl.as_millis().to_string().as_bytes(),
                others.as_bytes(),
            ],
        )
    }

    /// How journalled sets settle with what they find. A repeated live write always yields to what is
    /// newer, whatever was chosen for outages.
    fn mode(&self) -> &'static [u8] {
        match self.config.sync_mode {
            SyncMode::Overwrite => b"overwrite",
            SyncMode::IfAbsent => b"if-absent",
            SyncMode::Newest | SyncMode::Off => b"newest",
        }
    }

    pub(super) fn replay_set(
        &self,
        key: &Bytes,
        value: &Value,
        ttl_ms: Option<u64>,
        stamp: Stamp,
        mode: &[u8],
        write_absent: bool,
    ) -> Cmd {
        let settled = self.stamps.settle(stamp);
        REPLAY_SET.call(
            &[key, &self.keys.side(key)],
            &[
                settled.micros.to_string().as_bytes(),
                settled.process.to_string().as_bytes(),
                &self.envelope(value, ttl_ms, stamp),
                ttl_ms.unwrap_or(0).to_string().as_bytes(),
                mode,
                if write_absent { b"1" } else { b"0" },
            ],
        )
    }
}
