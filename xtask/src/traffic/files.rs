//! SSH and what goes through it; rsync's own protocol.

use anyhow::Result;

use super::{Operation, room::Room};

/// A client that knows the room's server by a key made for it.
pub const SSH: &str = "ssh -i /work/ssh/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/work/ssh/known -o LogLevel=ERROR";

/// The part of the server, which `git` needs too.
const SSHD: &str = "sshd";

pub const OPERATIONS: &[Operation] = &[
    Operation { name: "SSH: commands, scp, a forwarded port", part: "ssh", run: ssh },
    Operation { name: "sshfs: copy to and from a mount", part: "sshfs", run: sshfs },
    Operation { name: "rsync over its own protocol and over SSH", part: "rsync", run: rsync },
];

/// Starts the server, unless it runs.
pub fn sshd(room: &Room) -> Result<()> {
    if room.work().join("ssh").is_dir() {
        return Ok(());
    }
    room.run(
        SSHD,
        "mkdir -p ssh /run/sshd
         ssh-keygen -q -t ed25519 -N '' -f ssh/host; ssh-keygen -q -t ed25519 -N '' -f ssh/user
         cp ssh/user.pub ssh/authorized
         printf '%s\\n' 'ListenAddress 127.0.0.1:22' 'HostKey /work/ssh/host' 'AuthorizedKeysFile /work/ssh/authorized' \
           'StrictModes no' 'UsePAM no' 'PasswordAuthentication no' 'PermitRootLogin yes' 'PidFile none' 'MaxStartups 100' \
           'Subsystem sftp internal-sftp' > ssh/config",
    )?;
    room.serve(SSHD, 22, "exec /usr/sbin/sshd -D -e -f /work/ssh/config")
}

fn ssh(room: &Room, part: &str) -> Result<String> {
    sshd(room)?;
    room.run(
        part,
        &format!(
            "scp=\"$(echo '{SSH}' | sed 's/^ssh/scp -q/')\"
             for i in $(seq 20); do test \"$({SSH} root@ssh.example echo $i)\" = $i; done
             $scp www/large root@ssh.example:/work/copied; cmp copied www/large
             {SSH} -f -o ExitOnForwardFailure=yes -L 127.0.0.1:8022:127.0.0.1:80 root@ssh.example sleep 5
             curl -sSf http://127.0.0.1:8022/small | cmp - www/small
             echo '20 commands, 64 MB, a page'"
        ),
    )
}

fn sshfs(room: &Room, part: &str) -> Result<String> {
    sshd(room)?;
    room.run(
        part,
        &format!(
            "mkdir -p exported /mnt/remote; options=\"$(echo '{SSH}' | sed 's/^ssh//')\"
             sshfs -o ssh_command=\"ssh$options\" root@ssh.example:/work/exported /mnt/remote
             for i in $(seq 200); do seq $i $((i + 3000)) > /mnt/remote/file-$i; done
             cp www/large /mnt/remote/; sync
             mkdir -p fetched; cp -r /mnt/remote/. fetched/
             umount /mnt/remote
             diff -r exported fetched; cmp fetched/large www/large; test $(ls fetched | wc -l) = 201
             echo '201 files, 64 MB, there and back'"
        ),
    )
}

fn rsync(room: &Room, part: &str) -> Result<String> {
    sshd(room)?;
    room.run(
        part,
        "mkdir -p rsync/from rsync/to; for i in $(seq 300); do head -c $((i * 100)) /dev/urandom > rsync/from/f$i; done
         printf 'use chroot = no\\n[data]\\npath = /work/rsync/from\\nread only = yes\\n' > rsync/conf",
    )?;
    room.serve(part, 873, "exec rsync --daemon --no-detach --address=127.0.0.1 --config=/work/rsync/conf")?;
    room.run(
        part,
        &format!(
            "rsync -a rsync://files.example/data/ rsync/to/; diff -r rsync/from rsync/to
             rsync -a -e '{SSH}' root@ssh.example:/work/rsync/from/ rsync/again/; diff -r rsync/from rsync/again
             echo '300 files, twice'"
        ),
    )
}
