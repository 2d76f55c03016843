//! git over HTTP, HTTPS, SSH and its own protocol; ssh is set up in [`super::files`].

use anyhow::Result;

use super::{Operation, files, room::Room};

pub const OPERATIONS: &[Operation] = &[
    Operation { name: "git over HTTP and HTTPS: clone, fetch, push", part: "git-http", run: http },
    Operation { name: "git over its own protocol: clone", part: "git-daemon", run: daemon },
    Operation { name: "git over SSH: clone, push", part: "git-ssh", run: ssh },
];

/// A repository of a few hundred files and 40 commits, made once.
const REPOSITORY: &str = "
    export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
    git config --global safe.directory '*'; git config --global init.defaultBranch main
    if ! test -d git/project.git; then
      git init -q seed; cd seed
      for i in $(seq 40); do
        for j in $(seq 10); do seq $i $((i * j + 500)) > file-$j-$((i % 9)); done
        head -c 200K /dev/urandom > blob-$i
        git add -A; git commit -qm \"commit $i\"
      done
      cd ..; mkdir -p git; git clone -q --bare seed git/project.git
      git -C git/project.git config http.receivepack true
    fi
";

/// Clones from `$url`, compares, pushes a commit.
const ROUND: &str = "
    copy=$(mktemp -d); git clone -q $url $copy; git -C $copy fsck --no-progress 2> /dev/null
    test $(git -C $copy rev-list --count HEAD) -ge 40
    echo $url >> $copy/pushed; git -C $copy add -A; git -C $copy commit -qm more
    git -C $copy push -q origin HEAD:main
    test $(git -C $copy rev-parse HEAD) = $(git -C git/project.git rev-parse main)
";

fn http(room: &Room, part: &str) -> Result<String> {
    room.run(part, REPOSITORY)?;
    room.serve(part, 9000, "exec fcgiwrap -c 2 -s tcp:127.0.0.1:9000")?;
    room.run(
        part,
        &format!(
            "{REPOSITORY} export GIT_SSL_CAINFO=/work/ca.pem
             for url in http://git.example/git/project.git https://git.example/git/project.git; do {ROUND} done
             du -sh git/project.git | cut -f1"
        ),
    )
    .map(|size| format!("a repository of {}, twice", size.trim()))
}

fn daemon(room: &Room, part: &str) -> Result<String> {
    room.run(part, REPOSITORY)?;
    room.serve(
        part,
        9418,
        "exec git daemon --reuseaddr --export-all --enable=receive-pack --base-path=/work/git /work/git",
    )?;
    room.run(part, &format!("{REPOSITORY} url=git://git.example/project.git; {ROUND}"))?;
    Ok("the same repository".into())
}

fn ssh(room: &Room, part: &str) -> Result<String> {
    files::sshd(room)?;
    room.run(part, REPOSITORY)?;
    room.run(
        part,
        &format!("{REPOSITORY} export GIT_SSH_COMMAND='{}'; url=ssh://root@git.example/work/git/project.git; {ROUND}", files::SSH),
    )?;
    Ok("the same repository".into())
}
