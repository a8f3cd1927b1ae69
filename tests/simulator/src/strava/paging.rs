//! Which part of a list a page holds.
//!
//! Owns Strava's quirk that a page may hold fewer than asked for though more follow: a page that
//! comes out short moves the borders of those after it, so that all pages together are the list,
//! nothing twice, and only the page past the end is empty. Must not know what is listed.

use std::ops::Range;

use crate::dice::Dice;

const SHORTENED: u64 = 0x70_67;

/// How a list is cut into pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paging {
    pub(super) seed: u64,
    /// One page in this many is short; 0 for never.
    pub(super) short_every: u32,
    pub(super) per_page: usize,
}

impl Paging {
    /// Where page `page` (from 1) lies in a list of `total`.
    pub(super) fn page(self, total: usize, page: usize) -> Range<usize> {
        let mut from = 0;
        for earlier in 1..page {
            from += self.length(earlier);
            if from >= total {
                return total..total;
            }
        }
        from..total.min(from + self.length(page))
    }

    /// How many pages hold something.
    pub(super) fn pages(self, total: usize) -> usize {
        let (mut from, mut page) = (0, 0);
        while from < total {
            page += 1;
            from += self.length(page);
        }
        page
    }

    fn length(self, page: usize) -> usize {
        let page = u64::try_from(page).unwrap_or(u64::MAX);
        let turn = page.wrapping_add(self.seed).checked_rem(u64::from(self.short_every));
        if self.per_page < 2 || turn != Some(0) {
            return self.per_page;
        }
        let mut dice = Dice::new(self.seed, SHORTENED, page);
        let most = u64::try_from(self.per_page - 1).unwrap_or(1).min(9);
        self.per_page - 1 - usize::try_from(dice.below(most)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pages_together_are_the_list_and_only_the_page_past_the_end_is_empty() {
        for per_page in [1, 2, 3, 30, 200] {
            for total in [0, 1, 2, 199, 200, 201, 1234] {
                let paging = Paging { seed: 3, short_every: 3, per_page };
                let pages = paging.pages(total);
                let mut next = 0;
                for page in 1..=pages {
                    let range = paging.page(total, page);
                    assert_eq!(range.start, next);
                    assert!(!range.is_empty() && range.len() <= per_page);
                    next = range.end;
                }
                assert_eq!(next, total);
                assert!(paging.page(total, pages + 1).is_empty());
                assert!(paging.page(total, pages + 50).is_empty());
            }
        }
    }

    #[test]
    fn some_pages_are_short_with_more_to_follow_unless_switched_off() {
        let short = |short_every| {
            let paging = Paging { seed: 9, short_every, per_page: 200 };
            (1..40).filter(|&page| paging.page(100_000, page).len() < 200).count()
        };
        assert_eq!(short(3), 13);
        assert_eq!(short(0), 0);
        assert_eq!(short(1), 39);
    }
}
