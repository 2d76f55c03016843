//! `[identify] yara`

use super::Context;
use crate::{
    identify::yara::{self, Rules},
    policy::{error::PolicyError, written::At},
};

const KEY: &str = "identify: `yara`";

pub(super) fn rules(cx: &mut Context<'_>, written: &[At<String>]) {
    let Some(first) = written.first() else { return };
    if !yara::BUILT {
        return cx.error(first.place, KEY.to_owned(), yara::NOT_BUILT.0.to_owned(), yara::NOT_BUILT.1);
    }
    let before = cx.request.previous.and_then(|p| p.yara.as_ref());
    // When only a feed is taken up anew, later changes of the site's own files wait for a reload.
    if let (Some(before), Some(_)) = (before, cx.request.text) {
        cx.out.yara = Some(before.clone());
        return;
    }
    let mut files = Vec::new();
    for text in written {
        match yara::named(&cx.beside(&text.value)) {
            Ok(found) => files.extend(found),
            Err(problem) => {
                let remedy = "name a file, or a pattern such as /etc/miner-guard/rules/*.yar that fits some";
                cx.error(text.place, KEY.to_owned(), problem, remedy);
            }
        }
    }
    if files.is_empty() {
        return;
    }
    match Rules::load(&files, before) {
        Ok(rules) => {
            cx.out.warnings.extend(rules.warnings().iter().cloned());
            cx.out.yara = Some(rules);
        }
        Err(troubles) => cx.errors.extend(troubles.into_iter().map(PolicyError::from)),
    }
}
