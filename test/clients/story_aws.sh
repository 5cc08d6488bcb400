#!/bin/bash
# The life of an instance through the aws command.
# Environment: EC2_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY. Prints one line a step; the first failure ends it.
set -euo pipefail
export AWS_DEFAULT_REGION=nova AWS_PAGER='' AWS_MAX_ATTEMPTS=1 AWS_EC2_METADATA_DISABLED=true
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ec2() { /usr/bin/aws ec2 --endpoint-url "$EC2_URL" --output text "$@"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
is() { [[ $2 == "$3" ]] || fail "$1 is '$2', not '$3'"; }
refused() {
  local code=$1
  shift
  if ec2 "$@" >"$folder/out" 2>"$folder/err"; then fail "$* was not refused"; fi
  grep -q "($code)" "$folder/err" || fail "$*: $(cat "$folder/err")"
  echo "refused: $code"
}

is 'the zone' "$(ec2 describe-availability-zones --query 'AvailabilityZones[0].[ZoneName,State]')" $'nova\tavailable'
image=$(ec2 describe-images --query 'Images[?ImageType==`machine`] | [0].ImageId')
[[ $image == ami-* ]] || fail "no image: $image"
ec2 create-key-pair --key-name aws-key --query KeyMaterial >"$folder/key.pem"
grep -q 'BEGIN RSA PRIVATE KEY' "$folder/key.pem" || fail 'no private key'
ec2 create-security-group --group-name aws-group --description 'for a test' >/dev/null
ec2 authorize-security-group-ingress --group-name aws-group --protocol tcp --port 22 --cidr 0.0.0.0/0 >/dev/null
is 'the rule' "$(ec2 describe-security-groups --group-names aws-group --query 'SecurityGroups[0].IpPermissions[0].FromPort')" 22
echo 'zone, image, key pair, security group'

instance=$(ec2 run-instances --image-id "$image" --count 1 --instance-type m1.tiny --key-name aws-key \
  --security-groups aws-group --query 'Instances[0].InstanceId')
ec2 wait instance-running --instance-ids "$instance"
describe() { ec2 describe-instances --instance-ids "$instance" --query "Reservations[0].Instances[0].$1"; }
is 'the state' "$(describe State.Name)" running
is 'the key' "$(describe KeyName)" aws-key
echo "instance: $instance"
ec2 get-console-output --instance-id "$instance" --query Output >"$folder/console"
grep -q CONSOLE "$folder/console" || fail "the console says: $(cat "$folder/console")"
echo 'console output'

volume=$(ec2 create-volume --size 1 --availability-zone nova --query VolumeId)
ec2 wait volume-available --volume-ids "$volume"
ec2 attach-volume --volume-id "$volume" --instance-id "$instance" --device /dev/vdc >/dev/null
ec2 wait volume-in-use --volume-ids "$volume"
is 'the device' "$(ec2 describe-volumes --volume-ids "$volume" --query 'Volumes[0].Attachments[0].Device')" /dev/vdc
ec2 detach-volume --volume-id "$volume" >/dev/null
ec2 wait volume-available --volume-ids "$volume"
ec2 delete-volume --volume-id "$volume" >/dev/null
echo "volume: $volume"

address=$(ec2 allocate-address --query PublicIp)
ec2 associate-address --public-ip "$address" --instance-id "$instance" >/dev/null
for _ in $(seq 100); do
  [[ $(describe PublicIpAddress) == "$address" ]] && break
  sleep 0.2
done
is 'the public address' "$(describe PublicIpAddress)" "$address"
ec2 disassociate-address --public-ip "$address" >/dev/null
ec2 release-address --public-ip "$address" >/dev/null
echo "address: $address"

ec2 reboot-instances --instance-ids "$instance" >/dev/null
ec2 wait instance-running --instance-ids "$instance"
for _ in $(seq 100); do
  ec2 stop-instances --instance-ids "$instance" >/dev/null
  [[ $(describe State.Name) == stop* ]] && break
  sleep 0.2
done
ec2 wait instance-stopped --instance-ids "$instance"
ec2 start-instances --instance-ids "$instance" >/dev/null
ec2 wait instance-running --instance-ids "$instance"
echo 'reboot, stop and start'

ec2 terminate-instances --instance-ids "$instance" >/dev/null
ec2 wait instance-terminated --instance-ids "$instance"
ec2 delete-security-group --group-name aws-group >/dev/null
ec2 delete-key-pair --key-name aws-key >/dev/null
echo 'terminated'

refused ImageNotFound run-instances --image-id ami-00ffff00
refused KeypairNotFound run-instances --image-id "$image" --key-name nosuch
AWS_SECRET_ACCESS_KEY=wrong refused SignatureDoesNotMatch describe-instances
echo 'done'
