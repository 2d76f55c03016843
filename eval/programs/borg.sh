# Backups with deduplication, compression and encryption.
export BORG_PASSPHRASE=x BORG_BASE_DIR=$PWD/base BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
while :; do rm -rf repo base; borg init -e repokey-blake2 repo; borg create -C zstd,3 repo::a /usr/share/perl /usr/share/doc /usr/lib/python3; done
