#!/bin/bash
# The life of an instance, and all that it uses, through the aws command. Prints what story.py says.
# Environment: EC2_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, STORY (a word which its names begin with).
set -euo pipefail
export AWS_DEFAULT_REGION=nova AWS_PAGER='' AWS_MAX_ATTEMPTS=1 AWS_EC2_METADATA_DISABLED=true
key=$STORY-key imported=$STORY-imported group=$STORY-group callers=$STORY-callers
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ec2() { /usr/bin/aws ec2 --endpoint-url "$EC2_URL" --output text "$@"; }
step() { echo "step: $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
is() { [[ $2 == "$3" ]] || fail "$1 is '$2', not '$3'"; }
# until_is WHAT WANTED COMMAND…: runs the command until it prints what is wanted
until_is() {
  local what=$1 wanted=$2
  shift 2
  for _ in $(seq 60); do
    [[ $("$@") == $wanted ]] && return
    sleep 0.2
  done
  fail "$what is '$("$@")', not '$wanted'"
}
# ready STATE: aws's own waiter, which looks every 15 seconds, once there is nothing left to wait for
ready() { until_is 'the state' "$1" describe State.Name && ec2 wait "instance-$1" --instance-ids "$instance"; }
volume_is() { until_is 'the volume' "$2" ec2 describe-volumes --volume-ids "$1" --query 'Volumes[0].State'; }
# refused CODE WORDS…: aws prints "An error occurred (CODE) when calling the … operation: MESSAGE"
refused() {
  local code=$1
  shift
  if ec2 "$@" >"$folder/out" 2>"$folder/err"; then fail "$* was not refused"; fi
  grep -q "($code)" "$folder/err" || fail "$*: $(cat "$folder/err")"
  sed -n -e 's/ (reached max retries: 0)//' \
    -e 's/^.*(\([A-Za-z.]*\)) when calling the [A-Za-z0-9]* operation: \(.*\)$/refused: \1: \2/p' "$folder/err"
}

echo "client: aws $(/usr/bin/aws --version | sed 's|^aws-cli/\([0-9.]*\) Python/\([0-9]*\.[0-9]*\).*|\1 (Python \2)|')"
is 'the zone' "$(ec2 describe-availability-zones --query 'AvailabilityZones[].[ZoneName,State]')" $'nova\tavailable'
step zones
is 'the region' "$(ec2 describe-regions --query 'Regions[].RegionName')" nova
step regions
image=$(ec2 describe-images --query 'sort_by(Images[?ImageType==`machine`], &ImageId) | [0].ImageId')
[[ $image == ami-* ]] || fail "no image: $image"
is 'the permission' "$(ec2 describe-image-attribute --image-id "$image" --attribute launchPermission \
  --query 'LaunchPermissions[].Group')" all
step images
is 'the type' "$(ec2 describe-instance-types --instance-types m1.tiny --query 'InstanceTypes[].MemoryInfo.SizeInMiB')" 512
step instance types

ec2 create-key-pair --key-name "$key" --query KeyMaterial >"$folder/key.pem"
grep -q 'BEGIN RSA PRIVATE KEY' "$folder/key.pem" || fail 'no private key'
refused KeyPairExists create-key-pair --key-name "$key"
step key pairs
chmod 600 "$folder/key.pem"
ssh-keygen -y -f "$folder/key.pem" >"$folder/key.pub"
ec2 import-key-pair --key-name "$imported" --public-key-material "fileb://$folder/key.pub" >/dev/null
is 'the keys' "$(ec2 describe-key-pairs --key-names "$imported" --query 'KeyPairs[].KeyName')" "$imported"
step key import

for name in "$group" "$callers"; do ec2 create-security-group --group-name "$name" --description 'for a test' >/dev/null; done
refused ApiError create-security-group --group-name "$group" --description again
ec2 authorize-security-group-ingress --group-name "$group" --protocol tcp --port 22 --cidr 0.0.0.0/0 >/dev/null
ec2 authorize-security-group-ingress --group-name "$group" --protocol tcp --port 80-81 --source-group "$callers" >/dev/null
ports() { ec2 describe-security-groups --group-names "$group" --query 'sort(SecurityGroups[0].IpPermissions[].FromPort)'; }
is 'the rules' "$(ports)" $'22\t80'
is 'the source' "$(ec2 describe-security-groups --group-names "$group" \
  --query 'SecurityGroups[0].IpPermissions[].UserIdGroupPairs[].GroupName')" "$callers"
ec2 revoke-security-group-ingress --group-name "$group" --protocol tcp --port 80-81 --source-group "$callers" >/dev/null
is 'the rules' "$(ports)" 22
step security groups

refused ImageNotFound run-instances --image-id ami-00ffff00
refused KeypairNotFound run-instances --image-id "$image" --key-name "$STORY-no-key"
instance=$(ec2 run-instances --image-id "$image" --count 1 --instance-type m1.tiny --key-name "$key" \
  --security-groups "$group" --user-data 'hello from aws' --placement AvailabilityZone=nova \
  --tag-specifications "ResourceType=instance,Tags=[{Key=story,Value=$STORY}]" --query 'Instances[0].InstanceId')
describe() { ec2 describe-instances --instance-ids "$instance" --query "Reservations[0].Instances[0].$1"; }
ready running
is 'the instance' "$(describe '[State.Name,KeyName,SecurityGroups[0].GroupName,Placement.AvailabilityZone]')" \
  "running	$key	$group	nova"
step run instances
is 'the listing' "$(ec2 describe-instances --query "Reservations[].Instances[?InstanceId=='$instance'][].InstanceId")" "$instance"
step describe instances
ec2 get-console-output --instance-id "$instance" --query Output >"$folder/console"
grep -q CONSOLE "$folder/console" || fail "the console says: $(cat "$folder/console")"
step console output
is 'the user data' "$(ec2 describe-instance-attribute --instance-id "$instance" --attribute userData \
  --query UserData.Value | base64 -d)" 'hello from aws'
step instance attributes

volume=$(ec2 create-volume --size 1 --availability-zone nova --query VolumeId)
volume_is "$volume" available
ec2 wait volume-available --volume-ids "$volume"
ec2 attach-volume --volume-id "$volume" --instance-id "$instance" --device /dev/vdc >/dev/null
volume_is "$volume" in-use
is 'the device' "$(ec2 describe-volumes --volume-ids "$volume" --query 'Volumes[0].Attachments[0].Device')" /dev/vdc
refused ApiError delete-volume --volume-id "$volume"
ec2 detach-volume --volume-id "$volume" >/dev/null
volume_is "$volume" available
step volumes
snapshot=$(ec2 create-snapshot --volume-id "$volume" --description 'of a test' --query SnapshotId)
snapshots() { ec2 describe-snapshots --owner-ids self --query "Snapshots[?SnapshotId=='$snapshot'].State"; }
until_is 'the snapshot' available snapshots
copy=$(ec2 create-volume --snapshot-id "$snapshot" --availability-zone nova --query VolumeId)
volume_is "$copy" available
step snapshots

ec2 create-tags --resources "$instance" "$volume" --tags Key=more,Value=words
is 'the tagged' "$(ec2 describe-instances --filters Name=tag:more,Values=words --query 'Reservations[].Instances[].InstanceId')" \
  "$instance"
is 'the tags' "$(ec2 describe-tags --filters "Name=resource-id,Values=$instance" --query 'sort(Tags[].Key)')" $'more\tstory'
# Text has a line for each page.
is 'the tags by pages' \
  "$(ec2 describe-tags --page-size 1 --filters "Name=resource-id,Values=$instance" --query 'Tags[].Key')" $'more\nstory'
ec2 delete-tags --resources "$instance" "$volume" --tags Key=more
step tags and filters

registered=$(ec2 register-image --name "$STORY-of-snapshot" --root-device-name /dev/vda \
  --block-device-mappings "DeviceName=/dev/vda,Ebs={SnapshotId=$snapshot}" --query ImageId)
is 'the root' "$(ec2 describe-images --image-ids "$registered" --query 'Images[].RootDeviceType')" ebs
ec2 deregister-image --image-id "$registered"
step register image
made=$(ec2 create-image --instance-id "$instance" --name "$STORY-image" --query ImageId)
until_is 'the image' available ec2 describe-images --image-ids "$made" --query 'Images[0].State'
is_public() { ec2 describe-images --image-ids "$made" --query 'Images[0].Public'; }
is 'public' "$(is_public)" False
ec2 modify-image-attribute --image-id "$made" --launch-permission 'Add=[{Group=all}]'
is 'public' "$(is_public)" True
ec2 reset-image-attribute --image-id "$made" --attribute launchPermission
is 'public' "$(is_public)" False
ec2 deregister-image --image-id "$made"
refused ImageNotFound describe-images --image-ids "$made"
step create image, launch permissions

# A volume stays as long as it has a snapshot.
ec2 delete-snapshot --snapshot-id "$snapshot"
until_is 'the snapshot' '' snapshots
ec2 delete-volume --volume-id "$copy"
ec2 delete-volume --volume-id "$volume"
volumes() { ec2 describe-volumes --query "length(Volumes[?VolumeId=='$volume' || VolumeId=='$copy'])"; }
until_is 'the number of volumes' 0 volumes

address=$(ec2 allocate-address --query PublicIp)
ec2 associate-address --public-ip "$address" --instance-id "$instance" >/dev/null
until_is 'the public address' "$address" describe PublicIpAddress
ec2 disassociate-address --public-ip "$address" >/dev/null
holder() { ec2 describe-addresses --query "Addresses[?PublicIp=='$address'].[PublicIp,InstanceId]"; }
until_is 'the holder' "$address	" holder
ec2 release-address --public-ip "$address" >/dev/null
until_is 'the holder' '' holder
step addresses

ec2 reboot-instances --instance-ids "$instance"
until_is 'the state' running describe State.Name
step reboot
# A reboot goes on for a moment, and an instance which reboots isn't stopped.
stop() { ec2 stop-instances --instance-ids "$instance" >/dev/null && describe State.Name; }
until_is 'the state' 'stop*' stop
ready stopped
ec2 modify-instance-attribute --instance-id "$instance" --instance-type Value=m1.small
is 'the type' "$(describe InstanceType)" m1.small
step modify instance attribute
ec2 start-instances --instance-ids "$instance" >/dev/null
until_is 'the state' running describe State.Name
step stop and start

ec2 terminate-instances --instance-ids "$instance" >/dev/null
ready terminated
for name in "$group" "$callers"; do ec2 delete-security-group --group-name "$name"; done
for name in "$key" "$imported"; do ec2 delete-key-pair --key-name "$name"; done
step terminate

refused InstanceNotFound terminate-instances --instance-ids i-00ffff00
AWS_SECRET_ACCESS_KEY=wrong refused SignatureDoesNotMatch describe-instances
echo done
