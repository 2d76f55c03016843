//! `miner-guard doctor`: what this kernel can enforce, proven on it, whether or not a guard runs.

mod trial;

use serde::Serialize;

use super::{
    CliError, Exit, Global,
    status::hook_rows,
    table::{self, Cell, plain, toned},
    ui::Ui,
};
use crate::{
    api::control::{Attachment, HookState},
    kernel::{canary::Proof, hooks::HOOKS, load::State, pins::Pins, preflight::Preflight, sockets},
    sinks::text::colour::{Colour, Tone},
};

/// What was found.
#[derive(Debug, Serialize)]
struct Diagnosis {
    kernel: String,
    architecture: &'static str,
    lsm: String,
    /// GPUs, or `no GPU` and why.
    gpu: String,
    lockdown: String,
    cgroup_root: String,
    hooks: Vec<HookState>,
    connect: Half,
    exec: Half,
    /// Whether connections that are open already can be ended.
    open: Half,
    /// What else to look after.
    notes: Vec<String>,
}

/// One half of the proof.
#[derive(Debug, Serialize)]
struct Half {
    proven: bool,
    how: String,
}

impl From<Result<String, String>> for Half {
    fn from(half: Result<String, String>) -> Self {
        let proven = half.is_ok();
        Self { proven, how: half.unwrap_or_else(|why| why) }
    }
}

pub(super) fn run(global: &Global, ui: &mut Ui) -> Result<Exit, CliError> {
    let preflight = Preflight::look(&global.pin_dir, false)?;
    let diagnosis = match trial::run(&global.pin_dir, &preflight) {
        Ok((states, proof)) => diagnose(global, preflight, states, proof),
        // A hook that must run does not: what the kernel said is the diagnosis.
        Err(e) => {
            let states = HOOKS.iter().map(|hook| {
                (hook, preflight.can_run(hook).map_or_else(State::Unavailable, |()| State::Attached))
            });
            let hooks = states.filter(|(_, s)| *s != State::Attached).collect();
            let proof = Proof { connect: Err(e.to_string()), exec: Err("not tried".to_owned()) };
            diagnose(global, preflight, hooks, proof)
        }
    };
    ui.show(&diagnosis, text)?;
    let sound = diagnosis.connect.proven && diagnosis.exec.proven;
    Ok(if sound { Exit::Done } else { Exit::Kernel })
}

fn diagnose(global: &Global, preflight: Preflight, states: trial::States, proof: Proof) -> Diagnosis {
    let notes = Pins::at(&global.pin_dir).check_abi().err().map(|e| e.to_string());
    Diagnosis {
        kernel: preflight.release,
        architecture: std::env::consts::ARCH,
        lsm: preflight.lsm,
        gpu: crate::identify::gpu::Gpus::default().describe(),
        lockdown: preflight.lockdown,
        cgroup_root: preflight.cgroup_root.display().to_string(),
        hooks: states.into_iter().map(|(hook, state)| hook_state(hook.name, hook.without, state)).collect(),
        connect: proof.connect.into(),
        exec: proof.exec.into(),
        open: sockets::prove()
            .map(|()| "sock_diag ended a socket of the doctor's own".to_owned())
            .map_err(|e| e.to_string())
            .into(),
        notes: notes.into_iter().collect(),
    }
}

fn hook_state(name: &str, without: &str, state: State) -> HookState {
    let (state, why) = match state {
        State::Attached => (Attachment::Attached, None),
        State::AttachedTo(what) => (Attachment::Attached, Some(what)),
        State::Unavailable(why) => (Attachment::Unavailable, Some(format!("{without}: {why}"))),
    };
    HookState { name: name.to_owned(), state, why }
}

fn half(half: &Half) -> Cell {
    if half.proven {
        toned(format!("proven: {}", half.how), Tone::Calm)
    } else {
        toned(format!("NOT PROVEN: {}", half.how), Tone::Trouble)
    }
}

fn text(d: &Diagnosis, colour: Colour) -> String {
    let or_none = |s: &str| plain(if s.is_empty() { "unknown" } else { s });
    let mut head = vec![
        vec![plain("kernel"), plain(format!("{} ({})", d.kernel, d.architecture))],
        vec![plain("LSMs"), or_none(&d.lsm)],
        vec![plain("lockdown"), or_none(&d.lockdown)],
        vec![plain("GPU"), plain(&d.gpu)],
        vec![plain("cgroups"), plain(&d.cgroup_root)],
        vec![plain("connect"), half(&d.connect)],
        vec![plain("exec"), half(&d.exec)],
        vec![plain("open"), half(&d.open)],
    ];
    for note in &d.notes {
        head.push(vec![plain("note"), toned(note, Tone::Attention)]);
    }
    table::rows(&head, colour) + "hooks\n" + &table::rows(&hook_rows(&d.hooks), colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis() -> Diagnosis {
        Diagnosis {
            kernel: "6.1.0".into(),
            architecture: "x86_64",
            lsm: String::new(),
            gpu: "no GPU".into(),
            lockdown: "none".into(),
            cgroup_root: "/sys/fs/cgroup".into(),
            hooks: vec![
                hook_state("connect4", "no IPv4 connection is checked", State::Attached),
                hook_state("lsm-exec", "no EPERM", State::Unavailable("no bpf LSM".into())),
            ],
            connect: Ok("denied with EPERM".to_owned()).into(),
            exec: Err("it ran".to_owned()).into(),
            open: Ok("ended".to_owned()).into(),
            notes: vec!["old pins".into()],
        }
    }

    #[test]
    fn the_diagnosis_says_what_is_proven_and_what_is_lost() {
        assert_eq!(
            text(&diagnosis(), Colour::NEVER),
            "\
kernel    6.1.0 (x86_64)
LSMs      unknown
lockdown  none
GPU       no GPU
cgroups   /sys/fs/cgroup
connect   proven: denied with EPERM
exec      NOT PROVEN: it ran
open      proven: ended
note      old pins
hooks
  connect4  attached
  lsm-exec  unavailable  no EPERM: no bpf LSM
"
        );
    }

    #[test]
    fn programs_read_the_same() {
        let json = serde_json::to_value(diagnosis()).unwrap();
        assert_eq!(json.pointer("/connect/proven").unwrap(), true);
        assert_eq!(json.pointer("/hooks/1/state").unwrap(), "unavailable");
    }
}
