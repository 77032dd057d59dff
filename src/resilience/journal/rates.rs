//! What keys of limiters were charged: the acts of a key wait together, all of them in order.
//!
//! Bounded by themselves, so that a flood of new clients takes no room from writes. What is furthest back is given up
//! first, and counted: it lets somebody through twice, and blocks nobody.
use std::sync::Arc;

use bytes::Bytes;

use super::super::durable::Record;
use super::{Journal, weight};
use crate::backend::intent::{Intent, Wish};
use crate::backend::rate::{Due, Limiter, Owed};

/// Of the journal's limit, in percent, and at most so much.
const PERCENT: usize = 10;
const MOST: usize = 16 * 1024 * 1024;

impl Journal {
    /// Takes an act, behind those that wait for its key.
    pub fn charge(&mut self, key: &Bytes, limiter: &Arc<Limiter>, due: Due) {
        self.write(|| Record::Charge { key, limiter, due: &due });
        match self.rates.get_mut(key) {
            None => {
                let stamp = due.stamp;
                let wish = Wish::Rate(Owed::new(limiter.clone(), due));
                self.put(Intent { key: key.clone(), stamp, wish });
            }
            Some(intent) => {
                let before = weight(intent);
                intent.stamp = due.stamp.max(intent.stamp);
                if let Wish::Rate(owed) = &mut intent.wish {
                    owed.push(limiter, due);
                }
                self.rate_bytes = self.rate_bytes - before + weight(intent);
            }
        }
        self.shed_charges();
    }

    /// Acts of another process, or such that may have been carried out, go before those that came meanwhile.
    pub(super) fn put_charges(&mut self, mut former: Intent) {
        let later = self.rates.pop(&former.key);
        if let Some(later) = &later {
            self.unweigh(later);
        }
        let Wish::Rate(owed) = &mut former.wish else { return };
        if let Some(Intent { wish: Wish::Rate(later), stamp, .. }) = later {
            owed.append(later);
            former.stamp = former.stamp.max(stamp);
        }
        self.put(former);
        self.shed_charges();
    }

    fn shed_charges(&mut self) {
        while self.rate_bytes > (self.limit / 100 * PERCENT).min(MOST)
            && let Some((key, intent)) = self.rates.pop_lru()
        {
            self.unweigh(&intent);
            self.dropped += 1;
            self.write(|| Record::Settled { key: &key, stamp: intent.stamp });
        }
    }
}
