#!/bin/bash
# Buckets and objects through today's aws. Environment: S3_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export AWS_DEFAULT_REGION=nova AWS_EC2_METADATA_DISABLED=true AWS_PAGER='' AWS_CONFIG_FILE=/dev/null
s3() { aws --endpoint-url "$S3_URL" s3 "$@"; }
api() { aws --endpoint-url "$S3_URL" s3api "$@"; }

head -c 300000 /dev/urandom >bits
: >empty
s3 mb s3://aws-bucket
s3 ls | grep aws-bucket
s3 cp bits s3://aws-bucket/bits
s3 cp bits 's3://aws-bucket/dir/with space'
s3 ls s3://aws-bucket | grep 'PRE dir/'
s3 ls --recursive s3://aws-bucket | grep 'dir/with space'
s3 cp s3://aws-bucket/bits read && cmp bits read
curl -sf "$(s3 presign s3://aws-bucket/bits)" | cmp - bits
api head-object --bucket aws-bucket --key bits | grep '"ContentLength": 300000'
for key in 1 2 3; do api put-object --bucket aws-bucket --key "page/$key" --body empty >/dev/null; done
api list-objects-v2 --bucket aws-bucket --prefix page/ --page-size 1 --query 'length(Contents)' | grep '^3$'

# Uploads and copies in parts: aws cuts what is larger than 8 MiB.
head -c 20000000 /dev/urandom >large
s3 cp large s3://aws-bucket/large --metadata origin=test
api head-object --bucket aws-bucket --key large >head
grep -q '"ContentLength": 20000000' head && grep -q -- '-3\\""' head && grep -q '"origin": "test"' head
s3 cp s3://aws-bucket/bits s3://aws-bucket/copy && s3 cp s3://aws-bucket/copy - | cmp - bits
s3 mv s3://aws-bucket/large s3://aws-bucket/moved/large
if s3 ls s3://aws-bucket/large; then exit 1; fi
s3 mv s3://aws-bucket/moved/large read && cmp large read
s3 cp - s3://aws-bucket/piped <large && s3 cp s3://aws-bucket/piped - | cmp - large
api put-object --bucket aws-bucket --key sum --body bits --checksum-algorithm SHA256 | grep '"ChecksumSHA256"'

if s3 ls s3://missing-bucket; then exit 1; fi
if s3 rb s3://aws-bucket 2>error; then exit 1; fi
grep BucketNotEmpty error
s3 rm --recursive s3://aws-bucket
s3 rb s3://aws-bucket
echo done
