//! `[case]` and `[respond]`.

use super::read::{Source, Table};
use crate::policy::settings::{CaseSettings, OnMining, RespondSettings};

pub(super) const YEAR_S: u64 = 366 * 86_400;

pub(super) fn case(table: &Table<'_, '_>, source: &Source<'_>) -> CaseSettings {
    let mut case = CaseSettings::default();
    for (t, at) in table.tables("case", true) {
        let section = Table::new(source, t, at, "case".to_owned());
        case.half_life_s = section.duration("half_life", 1, YEAR_S).unwrap_or(case.half_life_s);
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
            learn_s: section.duration("learn_for", 0, YEAR_S).unwrap_or(respond.learn_s),
            isolate_s: section.duration("isolate_for", 0, YEAR_S).unwrap_or(respond.isolate_s),
            bundles: section.number("bundles", 0, 10_000).unwrap_or(respond.bundles),
            bundle_mib: section.number("bundle_mib", 1, 1 << 20).unwrap_or(respond.bundle_mib),
        };
        section.finish();
    }
    respond
}
