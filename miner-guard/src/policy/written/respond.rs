//! `[case]` and `[respond]`.

use super::read::{Source, Table};
use crate::policy::settings::{CaseSettings, OnMining, RespondSettings};

const YEAR_S: u64 = 366 * 86_400;

pub(super) fn case(table: &Table<'_, '_>, source: &Source<'_>) -> CaseSettings {
    let mut case = CaseSettings::default();
    for (t, at) in table.tables("case", true) {
        let section = Table::new(source, t, at, "case".to_owned());
        let set = |key, value: &mut u64| *value = section.number(key, 1, YEAR_S).unwrap_or(*value);
        set("half_life_s", &mut case.half_life_s);
        section.finish();
    }
    case
}

pub(super) fn respond(table: &Table<'_, '_>, source: &Source<'_>) -> RespondSettings {
    let actions = [("alert", OnMining::Alert), ("kill", OnMining::Kill), ("isolate", OnMining::Isolate)];
    let mut respond = RespondSettings::default();
    for (t, at) in table.tables("respond", true) {
        let section = Table::new(source, t, at, "respond".to_owned());
        respond = RespondSettings {
            mining: section.choice("mining", &actions).unwrap_or(respond.mining),
            learn_h: section.number("learn_h", 0, YEAR_S / 3600).unwrap_or(respond.learn_h),
            isolate_h: section.number("isolate_h", 0, YEAR_S / 3600).unwrap_or(respond.isolate_h),
            bundles: section.number("bundles", 0, 10_000).unwrap_or(respond.bundles),
            bundle_mib: section.number("bundle_mib", 1, 1 << 20).unwrap_or(respond.bundle_mib),
        };
        section.finish();
    }
    respond
}
