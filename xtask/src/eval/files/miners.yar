// Rules that look for what miner-guard looks for, to compare the speed of the two on the same files. The constants are
// those of the published algorithms.

rule randomx
{
    strings:
        $k0 = { 09 66 71 62 53 a5 ac 6d }
        $a0 = { 53 a5 ac 6d 09 66 71 62 }
        $a1 = { 07 af 7c 6d 0d 71 6a 84 }
        $a2 = { f1 62 12 3f c6 7e 94 9f }
        $a3 = { 35 81 ef 6a 7c 31 ba b1 }
        $a4 = { dd aa 21 64 db 3d 83 d1 }
        $a5 = { 50 34 0e b2 55 3f 91 b6 }
        $a6 = { 04 d9 3e 5c af 7b 5e 51 }
        $a7 = { 23 76 63 85 5d 8f 5f e7 }
        $a8 = { 73 6f 82 b5 a6 a7 d6 e3 }
        $a9 = { f3 6b 56 c7 d9 b3 10 9c }
        $b0 = { e7 c9 73 f2 8b a3 65 f7 }
        $b1 = { 09 d6 7c 7a de 39 58 91 }
        $b2 = { 0d 2c b5 92 de 56 a8 9f }
        $b3 = { 6e 99 8d 33 98 b7 c7 15 }
        $b4 = { 17 00 77 6a d0 c7 62 ae }
        $b5 = { 0c 24 0a 63 8d 82 ad 07 }
    condition:
        uint32(0) == 0x464c457f and 6 of them
}

rule hash_chain
{
    strings:
        $groestl = { c6 32 f4 a5 f4 97 a5 c6 }
        $groestl_r = { c6 a5 97 f4 a5 f4 32 c6 }
        $jh = { 72 d5 de a2 df 15 f8 67 }
        $jh256 = { eb 98 a3 41 2c 20 d3 eb }
        $jh512 = { 6f d1 4b 96 3e 00 aa 17 }
        $skein = { 13 3e db 2f a1 44 d0 cc }
        $skein512 = { ce 51 9c 74 ff ad 03 49 }
        $bmw = { 87 86 85 84 83 82 81 80 8f 8e 8d 8c 8b 8a 89 88 }
        $luffa = { e0 51 6d 25 e0 51 b0 44 }
        $cubehash = { 61 2a ea 2a 61 94 f4 50 }
        $shavite = { d8 cd fc 72 27 47 ca 79 }
        $simd = { 95 6b a1 0b ad 99 f9 72 }
        $hamsi = { 65 73 74 73 61 6c 70 6c }
        $fugue = { 7e a5 07 88 75 af 16 e6 }
        $shabal = { 5d 7f 72 20 53 bd c0 46 }
    condition:
        uint32(0) == 0x464c457f and (6 of them or (any of ($groestl*) and any of ($jh*) and any of ($skein*)))
}

rule other_families
{
    strings:
        $kawpow = { 72 00 00 00 41 00 00 00 56 00 00 00 45 00 00 00 4e 00 00 00 43 00 00 00 }
        $ethash = { fe ca dd ba ad de e1 fe }
        $zcash = "ZcashPoW"
        $bgold = "BgoldPoW"
        $beam = "Beam-PoW"
        $kaspa = "ProofOfWorkHash"
        $cpupower = "CPUpower: The number of CPU working"
        $header = { 00 00 00 80 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 80 02 00 00 }
    condition:
        uint32(0) == 0x464c457f and any of them
}

rule client
{
    strings:
        $s0 = "stratum+tcp"
        $s1 = "stratum+ssl"
        $s2 = "stratum+tls"
        $s3 = "daemon+http"
        $m0 = "mining.subscribe"
        $m1 = "mining.authorize"
        $m2 = "mining.submit"
        $m3 = "mining.notify"
        $m4 = "mining.set_difficulty"
        $m5 = "mining.set_target"
        $m6 = "eth_submitWork"
        $m7 = "eth_getWork"
        $c0 = "donate-level"
        $c1 = "nicehash"
        $c2 = "huge-pages-jit"
        $c3 = "max-threads-hint"
        $c4 = "1gb-pages"
        $i0 = "khash/s"
        $i1 = "hashes/s"
        $i2 = "hash > target"
        $i3 = "miner threads started"
        $i4 = "no active pools"
        $n0 = "xmrig.com"
        $n1 = "cpuminer"
        $n2 = "ccminer"
        $n3 = "xmr-stak"
        $n4 = "ethminer"
        $n5 = "nbminer"
        $n6 = "SRBMiner"
    condition:
        uint32(0) == 0x464c457f and 1 of ($s*) and 2 of ($m*, $c*, $i*, $n*)
}
