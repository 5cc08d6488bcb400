#!/bin/bash
# Buckets and objects through today's aws. Prints what story.py says.
# Environment: S3_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, STORY (a word which its names begin with).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export AWS_DEFAULT_REGION=nova AWS_EC2_METADATA_DISABLED=true AWS_PAGER='' AWS_CONFIG_FILE=/dev/null
bucket=$STORY
s3() { /usr/bin/aws --endpoint-url "$S3_URL" s3 "$@"; }
api() { /usr/bin/aws --endpoint-url "$S3_URL" s3api "$@"; }
step() { echo "step: $*"; }
# aws prints "An error occurred (CODE) when calling the … operation: MESSAGE"
refused() {
  local code=$1
  shift
  if s3 "$@" 2>error; then exit 1; fi
  grep -q "($code)" error || { cat error; exit 1; }
  sed -n 's/^.*An error occurred (\([A-Za-z.]*\)) when calling the [A-Za-z0-9]* operation: \(.*\)$/refused: \1: \2/p' error
}

echo "client: aws $(/usr/bin/aws --version | sed 's|^aws-cli/\([0-9.]*\) Python/\([0-9]*\.[0-9]*\).*|\1 (Python \2)|')"
head -c 300000 /dev/urandom >bits
: >empty
s3 mb "s3://$bucket"
s3 ls | grep "$bucket"
step make bucket
s3 cp bits "s3://$bucket/bits"
s3 cp bits "s3://$bucket/dir/with space"
s3 cp "s3://$bucket/bits" read && cmp bits read
api head-object --bucket "$bucket" --key bits | grep '"ContentLength": 300000'
step put and get
curl -sf "$(s3 presign "s3://$bucket/bits")" | cmp - bits
step signed URL
s3 ls "s3://$bucket" | grep 'PRE dir/'
s3 ls --recursive "s3://$bucket" | grep 'dir/with space'
for key in 1 2 3; do api put-object --bucket "$bucket" --key "page/$key" --body empty >/dev/null; done
api list-objects-v2 --bucket "$bucket" --prefix page/ --page-size 1 --query 'length(Contents)' | grep '^3$'
step list, by prefix and delimiter
# What is larger than 8 MiB is cut.
head -c 20000000 /dev/urandom >large
s3 cp large "s3://$bucket/large" --metadata origin=test
api head-object --bucket "$bucket" --key large >head
grep -q '"ContentLength": 20000000' head && grep -q -- '-3\\""' head && grep -q '"origin": "test"' head
step upload in parts
s3 cp "s3://$bucket/bits" "s3://$bucket/copy" && s3 cp "s3://$bucket/copy" - | cmp - bits
s3 mv "s3://$bucket/large" "s3://$bucket/moved/large"
if s3 ls "s3://$bucket/large"; then exit 1; fi
s3 mv "s3://$bucket/moved/large" read && cmp large read
s3 cp - "s3://$bucket/piped" <large && s3 cp "s3://$bucket/piped" - | cmp - large
step copy and move
api put-object --bucket "$bucket" --key sum --body bits --checksum-algorithm SHA256 | grep '"ChecksumSHA256"'
step checksums

refused NoSuchBucket ls s3://missing-bucket
refused BucketNotEmpty rb "s3://$bucket"
AWS_SECRET_ACCESS_KEY=wrong refused SignatureDoesNotMatch ls
s3 rm --recursive "s3://$bucket"
s3 rb "s3://$bucket"
if s3 ls | grep "$bucket"; then exit 1; fi
step delete
echo done
