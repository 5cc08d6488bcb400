"""The life of an instance, and all that it uses, through boto3, with its own waiters.

Environment: EC2_URL, EC2_ACCESS_KEY, EC2_SECRET_KEY, STORY (a word which its names begin with).
"""
import base64
import os
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

import story
from story import step, wait

NAME = os.environ['STORY']
KEY, IMPORTED, GROUP, CALLERS = [NAME + end for end in ('-key', '-imported', '-group', '-callers')]
PATIENT = {'Delay': 1, 'MaxAttempts': 60}


def connect(secret):
    return boto3.client(
        'ec2',
        endpoint_url=os.environ['EC2_URL'],
        region_name='nova',
        aws_access_key_id=os.environ['EC2_ACCESS_KEY'],
        aws_secret_access_key=secret,
        config=Config(retries={'max_attempts': 0}),
    )


def parts_of(error):
    answer = error.response
    return answer['ResponseMetadata']['HTTPStatusCode'], answer['Error']['Code'], answer['Error']['Message']


ec2 = connect(os.environ['EC2_SECRET_KEY'])
refused = story.Refusals(ClientError, parts_of)
story.client('boto3', boto3.__version__)


def waited(waiter, **kwargs):
    ec2.get_waiter(waiter).wait(WaiterConfig=PATIENT, **kwargs)


def instance_of(instance_id):
    return ec2.describe_instances(InstanceIds=[instance_id])['Reservations'][0]['Instances'][0]


zones = ec2.describe_availability_zones()['AvailabilityZones']
assert [(zone['ZoneName'], zone['State']) for zone in zones] == [('nova', 'available')], zones
step('zones')
assert ec2.describe_regions()['Regions'][0]['RegionName'] == 'nova'
step('regions')
images = ec2.describe_images(Filters=[{'Name': 'state', 'Values': ['available']}])['Images']
image = min(images, key=lambda one: one['ImageId'])
assert image['ImageType'] == 'machine' and image['Public'], image
assert ec2.describe_images(ImageIds=[image['ImageId']], Owners=[image['OwnerId']])['Images'] == [image]
permissions = ec2.describe_image_attribute(ImageId=image['ImageId'], Attribute='launchPermission')
assert permissions['LaunchPermissions'] == [{'Group': 'all'}], permissions
step('images')
types = ec2.describe_instance_types(InstanceTypes=['m1.tiny'])['InstanceTypes']
assert [(one['InstanceType'], one['MemoryInfo']['SizeInMiB']) for one in types] == [('m1.tiny', 512)], types
step('instance types')

key = ec2.create_key_pair(KeyName=KEY)
assert key['KeyMaterial'].startswith('-----BEGIN RSA PRIVATE KEY-----')
refused('KeyPairExists', ec2.create_key_pair, KeyName=KEY)
assert ec2.describe_key_pairs(KeyNames=[KEY])['KeyPairs'][0]['KeyFingerprint'] == key['KeyFingerprint']
step('key pairs')
imported = ec2.import_key_pair(KeyName=IMPORTED, PublicKeyMaterial=story.PUBLIC_KEY)
assert len(imported['KeyFingerprint']) == 47, imported
step('key import')

group, callers = [
    ec2.create_security_group(GroupName=name, Description='for a test')['GroupId'] for name in (GROUP, CALLERS)
]
assert group.startswith('sg-'), group
refused('ApiError', ec2.create_security_group, GroupName=GROUP, Description='again')
ssh = {'IpProtocol': 'tcp', 'FromPort': 22, 'ToPort': 22, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}
ping = {'IpProtocol': 'icmp', 'FromPort': -1, 'ToPort': -1, 'IpRanges': [{'CidrIp': '10.0.0.0/8'}]}
web = {'IpProtocol': 'tcp', 'FromPort': 80, 'ToPort': 81, 'UserIdGroupPairs': [{'GroupId': callers}]}
ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ssh, ping, web])


def rules():
    found = ec2.describe_security_groups(GroupNames=[GROUP])['SecurityGroups'][0]['IpPermissions']
    return sorted(
        (
            rule['FromPort'],
            [one['CidrIp'] for one in rule['IpRanges']] + [one['GroupName'] for one in rule['UserIdGroupPairs']],
        )
        for rule in found
    )


assert rules() == [(-1, ['10.0.0.0/8']), (22, ['0.0.0.0/0']), (80, [CALLERS])], rules()
ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[ping, web])
assert rules() == [(22, ['0.0.0.0/0'])], rules()
step('security groups')

refused('ImageNotFound', ec2.run_instances, ImageId='ami-00ffff00', MinCount=1, MaxCount=1)
wish = dict(
    ImageId=image['ImageId'],
    MinCount=1,
    MaxCount=1,
    KeyName=KEY,
    SecurityGroups=[GROUP],
    InstanceType='m1.tiny',
    UserData='hello from boto3',
    Placement={'AvailabilityZone': 'nova'},
    ClientToken='%s-%d' % (NAME, time.time()),
    TagSpecifications=[{'ResourceType': 'instance', 'Tags': [{'Key': 'story', 'Value': NAME}]}],
)
refused('KeypairNotFound', ec2.run_instances, **dict(wish, KeyName=NAME + '-no-key', ClientToken='unused'))
run = ec2.run_instances(**wish)
instance_id = run['Instances'][0]['InstanceId']
assert run['Instances'][0]['State'] == {'Code': 0, 'Name': 'pending'}, run
again = ec2.run_instances(**wish)
assert again['ReservationId'] == run['ReservationId'], 'the client token was not honoured'
waited('instance_running', InstanceIds=[instance_id])
instance = instance_of(instance_id)
assert instance['State'] == {'Code': 16, 'Name': 'running'}, instance['State']
assert instance['PrivateIpAddress'] and instance['Placement']['AvailabilityZone'] == 'nova', instance
assert instance['SecurityGroups'][0]['GroupName'] == GROUP and instance['KeyName'] == KEY, instance
step('run instances')
by_filter = ec2.describe_instances(Filters=[{'Name': 'instance-state-name', 'Values': ['run*']}])
assert instance_id in [i['InstanceId'] for r in by_filter['Reservations'] for i in r['Instances']]
status = ec2.describe_instance_status(InstanceIds=[instance_id])['InstanceStatuses'][0]
assert status['InstanceStatus']['Status'] == 'ok', status
step('describe instances')

output = ec2.get_console_output(InstanceId=instance_id)
assert 'CONSOLE' in output['Output'] or b'CONSOLE' in base64.b64decode(output['Output']), output
step('console output')
attribute = ec2.describe_instance_attribute(InstanceId=instance_id, Attribute='userData')
assert base64.b64decode(attribute['UserData']['Value']) == b'hello from boto3', attribute
step('instance attributes')
for call in (ec2.monitor_instances, ec2.unmonitor_instances):
    assert call(InstanceIds=[instance_id])['InstanceMonitorings'][0]['InstanceId'] == instance_id
step('monitoring')

volume_id = ec2.create_volume(Size=1, AvailabilityZone='nova')['VolumeId']
waited('volume_available', VolumeIds=[volume_id])
attached = ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device='/dev/vdc')
assert attached['State'] in ('attaching', 'attached') and attached['AttachTime'], attached
waited('volume_in_use', VolumeIds=[volume_id])
mapping = instance_of(instance_id)['BlockDeviceMappings']
assert [m['Ebs']['VolumeId'] for m in mapping] == [volume_id], mapping
refused('ApiError', ec2.delete_volume, VolumeId=volume_id)
ec2.detach_volume(VolumeId=volume_id)
waited('volume_available', VolumeIds=[volume_id])
step('volumes')


def snapshots():
    found = ec2.describe_snapshots(OwnerIds=['self'])['Snapshots']
    return {one['SnapshotId']: one for one in found}


snapshot_id = ec2.create_snapshot(VolumeId=volume_id, Description='of a test')['SnapshotId']
wait(snapshot_id, lambda: snapshots()[snapshot_id]['State'], 'available')
assert snapshots()[snapshot_id]['Description'] == 'of a test' and snapshots()[snapshot_id]['VolumeSize'] == 1
copy_id = ec2.create_volume(SnapshotId=snapshot_id, AvailabilityZone='nova')['VolumeId']
waited('volume_available', VolumeIds=[copy_id])
assert ec2.describe_volumes(VolumeIds=[copy_id])['Volumes'][0]['SnapshotId'] == snapshot_id
pages = ec2.get_paginator('describe_volumes').paginate(PaginationConfig={'PageSize': 100})
assert set((volume_id, copy_id)) <= set(one['VolumeId'] for page in pages for one in page['Volumes'])
step('snapshots')

assert instance_of(instance_id)['Tags'] == [{'Key': 'story', 'Value': NAME}]
ec2.create_tags(Resources=[instance_id, volume_id], Tags=[{'Key': 'more', 'Value': 'words'}])
ec2.create_tags(Resources=[snapshot_id], Tags=[{'Key': 'Name', 'Value': NAME}])
tagged = ec2.describe_instances(Filters=[{'Name': 'tag:more', 'Values': ['words']}])['Reservations']
assert [i['InstanceId'] for r in tagged for i in r['Instances']] == [instance_id], tagged
mine = ec2.describe_tags(Filters=[{'Name': 'value', 'Values': ['words', NAME]}])['Tags']
assert sorted((tag['ResourceType'], tag['Key']) for tag in mine) == [
    ('instance', 'more'),
    ('instance', 'story'),
    ('snapshot', 'Name'),
    ('volume', 'more'),
], mine
words = [{'Name': 'value', 'Values': ['words', NAME]}]
pages = list(ec2.get_paginator('describe_tags').paginate(Filters=words, PaginationConfig={'PageSize': 3}))
assert [len(page['Tags']) for page in pages] == [3, 1], pages
assert set(tag['ResourceId'] for page in pages for tag in page['Tags']) == set([instance_id, snapshot_id, volume_id])
every = list(ec2.get_paginator('describe_instances').paginate(PaginationConfig={'PageSize': 5}))
assert instance_id in [i['InstanceId'] for page in every for r in page['Reservations'] for i in r['Instances']], every
ec2.delete_tags(Resources=[instance_id, volume_id], Tags=[{'Key': 'more'}])
assert instance_of(instance_id)['Tags'] == [{'Key': 'story', 'Value': NAME}]
step('tags and filters')

registered = ec2.register_image(
    Name=NAME + '-of-snapshot',
    RootDeviceName='/dev/vda',
    BlockDeviceMappings=[{'DeviceName': '/dev/vda', 'Ebs': {'SnapshotId': snapshot_id}}],
)['ImageId']
assert ec2.describe_images(ImageIds=[registered])['Images'][0]['RootDeviceType'] == 'ebs'
ec2.deregister_image(ImageId=registered)
step('register image')
made = ec2.create_image(InstanceId=instance_id, Name=NAME + '-image', Description='of a test')['ImageId']
waited('image_available', ImageIds=[made])


def is_public():
    return ec2.describe_images(ImageIds=[made])['Images'][0]['Public']


assert not is_public()
ec2.modify_image_attribute(ImageId=made, LaunchPermission={'Add': [{'Group': 'all'}]})
assert is_public()
ec2.reset_image_attribute(ImageId=made, Attribute='launchPermission')
assert not is_public()
refused('ApiError', ec2.modify_image_attribute, ImageId=made, LaunchPermission={'Add': [{'UserId': 'somebody'}]})
ec2.deregister_image(ImageId=made)
refused('ImageNotFound', ec2.describe_images, ImageIds=[made])
step('create image, launch permissions')

# A volume stays as long as it has a snapshot.
ec2.delete_snapshot(SnapshotId=snapshot_id)
wait(snapshot_id, lambda: snapshot_id in snapshots(), False)
for one in (copy_id, volume_id):
    ec2.delete_volume(VolumeId=one)
    wait(one, lambda: one in [v['VolumeId'] for v in ec2.describe_volumes()['Volumes']], False)

address = ec2.allocate_address()['PublicIp']
ec2.associate_address(PublicIp=address, InstanceId=instance_id)


def holder():
    found = ec2.describe_addresses(Filters=[{'Name': 'public-ip', 'Values': [address]}])['Addresses']
    return [one.get('InstanceId', '') for one in found]


wait(address, holder, [instance_id])
assert instance_of(instance_id)['PublicIpAddress'] == address
refused('ApiError', ec2.release_address, PublicIp=address)
ec2.disassociate_address(PublicIp=address)
wait(address, holder, [''])
ec2.release_address(PublicIp=address)
wait(address, holder, [])
step('addresses')

ec2.reboot_instances(InstanceIds=[instance_id])
waited('instance_running', InstanceIds=[instance_id])
step('reboot')


def until_stopping():
    """A reboot goes on for a moment, and an instance which reboots isn't stopped."""
    assert ec2.stop_instances(InstanceIds=[instance_id])['StoppingInstances'][0]['InstanceId'] == instance_id
    return instance_of(instance_id)['State']['Name']


wait(instance_id, until_stopping, 'stopping', 'stopped')
waited('instance_stopped', InstanceIds=[instance_id])
ec2.modify_instance_attribute(InstanceId=instance_id, InstanceType={'Value': 'm1.small'})
assert instance_of(instance_id)['InstanceType'] == 'm1.small'
step('modify instance attribute')
ec2.start_instances(InstanceIds=[instance_id])
waited('instance_running', InstanceIds=[instance_id])
step('stop and start')

gone = ec2.terminate_instances(InstanceIds=[instance_id])['TerminatingInstances'][0]
assert gone['PreviousState']['Name'] == 'running', gone
waited('instance_terminated', InstanceIds=[instance_id])
for one in (group, callers):
    ec2.delete_security_group(GroupId=one)
refused('SecurityGroupNotFoundForProject', ec2.describe_security_groups, GroupNames=[GROUP])
for name in (KEY, IMPORTED):
    ec2.delete_key_pair(KeyName=name)
assert not set((KEY, IMPORTED)) & set(one['KeyName'] for one in ec2.describe_key_pairs()['KeyPairs'])
step('terminate')

refused('InstanceNotFound', ec2.terminate_instances, InstanceIds=[story.UNKNOWN_INSTANCE])
refused('InvalidParameterValue', ec2.create_volume, Size=-1, AvailabilityZone='nova')
refused('SignatureDoesNotMatch', connect('wrong').describe_regions)
story.done()
