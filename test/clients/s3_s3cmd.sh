#!/bin/bash
# Buckets and objects through s3cmd. Prints what story.py says.
# Environment: S3_URL, EC2_ACCESS_KEY, EC2_SECRET_KEY, STORY (a word which its names begin with), S3_SIGNATURE (2 or 4).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

host=${S3_URL#http://}
cat >s3cfg <<CONFIG
[default]
access_key = $EC2_ACCESS_KEY
secret_key = $EC2_SECRET_KEY
host_base = $host
host_bucket = $host
use_https = False
signature_v2 = $([[ ${S3_SIGNATURE:-4} == 2 ]] && echo True || echo False)
multipart_chunk_size_mb = 5
CONFIG
s3() { s3cmd --config=s3cfg --no-progress "$@" 2>&1; }
step() { echo "step: $*"; }
# s3cmd prints "ERROR: S3 error: 404 (CODE): MESSAGE"
refused() {
  local code=$1 output
  shift
  if output=$(s3 "$@"); then
    echo "not refused: $*: $output"
    exit 1
  fi
  grep -q "($code)" <<<"$output" || { echo "no $code in: $output"; exit 1; }
  sed -n 's/^ERROR: S3 error: [0-9]* (\([A-Za-z]*\)): \(.*\)$/refused: \1: \2/p' <<<"$output"
}
bucket=$STORY

echo "client: $(s3cmd --version | sed 's/ version / /')"
head -c 300000 /dev/urandom >bits
s3 mb "s3://$bucket"
s3 ls | grep "s3://$bucket\$"
step make bucket
s3 put bits "s3://$bucket/bits"
s3 put bits "s3://$bucket/dir/with space"
s3 info "s3://$bucket/bits" | grep 'MD5 sum'
s3 get "s3://$bucket/bits" read && cmp bits read
s3 get --force "s3://$bucket/dir/with space" read && cmp bits read
step put and get
s3 ls "s3://$bucket" | grep 300000
s3 ls "s3://$bucket" | grep 'DIR.*dir/'
s3 ls -r "s3://$bucket" | grep 'dir/with space'
step list, by prefix and delimiter
mkdir tree && echo one >tree/1 && echo two >tree/2
s3 sync tree/ "s3://$bucket/tree/"
s3 ls "s3://$bucket/tree/" | grep -c tree/ | grep '^2$'
step sync
# Larger than a chunk.
head -c 20000000 /dev/urandom >large
s3 put --debug large "s3://$bucket/large" >debug
grep -q 'partNumber=4&uploadId=' debug
s3 get "s3://$bucket/large" large.read && cmp large large.read
s3 multipart "s3://$bucket"
step upload in parts
s3 cp "s3://$bucket/bits" "s3://$bucket/copy"
s3 get --force "s3://$bucket/copy" read && cmp bits read
s3 mv "s3://$bucket/large" "s3://$bucket/moved"
s3 get --force "s3://$bucket/moved" large.read && cmp large large.read
if s3 ls "s3://$bucket/large" | grep large; then exit 1; fi
s3 modify --add-header=x-amz-meta-origin:test "s3://$bucket/bits"
s3 info "s3://$bucket/bits" | grep 'x-amz-meta-origin: test'
step copy and move

refused NoSuchBucket rb s3://missing-bucket
refused BucketAlreadyExists mb "s3://$bucket"
refused BucketNotEmpty rb "s3://$bucket"
refused SignatureDoesNotMatch ls "s3://$bucket" --secret_key=wrong

s3 del "s3://$bucket/bits"
s3 del -r --force "s3://$bucket"
s3 rb "s3://$bucket"
if s3 ls | grep "$bucket"; then exit 1; fi
step delete
echo done
