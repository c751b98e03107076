"""What tests share: small shards, bundles, faces and voices that are made on the spot."""
