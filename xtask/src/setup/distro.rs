//! Which distribution this is: the `ID` and `ID_LIKE` of os-release.

/// A family of distributions that share a package manager and package names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distro {
    /// Debian and what is made from it: the only one that setup installs on.
    Debian,
    /// Fedora, RHEL and their kin.
    Fedora,
    /// Arch Linux and its kin.
    Arch,
    /// openSUSE and SLES.
    Suse,
    /// Alpine Linux.
    Alpine,
    /// None of these.
    Other,
}

impl Distro {
    /// Reads /etc/os-release.
    pub fn of_this_machine() -> Self {
        std::fs::read_to_string("/etc/os-release").map_or(Self::Other, |text| Self::from_os_release(&text))
    }

    fn from_os_release(text: &str) -> Self {
        let value = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .map(|value| value.trim_matches(['"', '\'']))
                .unwrap_or_default()
        };
        let ids = std::iter::once(value("ID")).chain(value("ID_LIKE").split_whitespace());
        ids.map(|id| match id {
            "debian" | "ubuntu" => Self::Debian,
            "fedora" | "rhel" | "centos" => Self::Fedora,
            "arch" => Self::Arch,
            "suse" | "opensuse" | "sles" => Self::Suse,
            "alpine" => Self::Alpine,
            _ => Self::Other,
        })
        .find(|distro| *distro != Self::Other)
        .unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_is_known_by_its_id() {
        assert_eq!(Distro::from_os_release("NAME=\"x\"\nID=debian\nVERSION_ID=\"12\"\n"), Distro::Debian);
    }

    #[test]
    fn a_derivative_is_known_by_what_it_is_like() {
        assert_eq!(Distro::from_os_release("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Distro::Fedora);
        assert_eq!(Distro::from_os_release("ID=opensuse-leap\nID_LIKE=\"suse opensuse\"\n"), Distro::Suse);
    }

    #[test]
    fn an_unknown_system_is_not_guessed_at() {
        assert_eq!(Distro::from_os_release("ID=plan9\n"), Distro::Other);
        assert_eq!(Distro::from_os_release(""), Distro::Other);
    }
}
