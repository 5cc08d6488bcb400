"""The life of an instance through boto3, with its own waiters.

Environment: EC2_URL, EC2_ACCESS_KEY, EC2_SECRET_KEY. Prints one line a step; an assertion that fails ends it with a
traceback.
"""
import base64
import os
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ec2 = boto3.client(
    'ec2',
    endpoint_url=os.environ['EC2_URL'],
    region_name='nova',
    aws_access_key_id=os.environ['EC2_ACCESS_KEY'],
    aws_secret_access_key=os.environ['EC2_SECRET_KEY'],
    config=Config(retries={'max_attempts': 0}),
)
PATIENT = {'Delay': 1, 'MaxAttempts': 60}


def step(text):
    print(text, flush=True)


def refused(code, call, **kwargs):
    try:
        call(**kwargs)
    except ClientError as error:
        assert error.response['Error']['Code'] == code, error.response['Error']
        assert error.response['ResponseMetadata']['HTTPStatusCode'] < 500
        step('refused: %s: %s' % (code, error.response['Error']['Message']))
        return
    raise AssertionError('not refused')


def instance_of(instance_id):
    return ec2.describe_instances(InstanceIds=[instance_id])['Reservations'][0]['Instances'][0]


zones = ec2.describe_availability_zones()['AvailabilityZones']
assert zones[0]['ZoneName'] == 'nova' and zones[0]['State'] == 'available', zones
assert ec2.describe_regions()['Regions'][0]['RegionName'] == 'nova'
image = ec2.describe_images(Filters=[{'Name': 'state', 'Values': ['available']}])['Images'][0]
assert image['ImageType'] == 'machine' and image['Public'], image
step('image: %s' % image['ImageId'])

key = ec2.create_key_pair(KeyName='boto3-key')
assert key['KeyMaterial'].startswith('-----BEGIN RSA PRIVATE KEY-----')
imported = ec2.import_key_pair(
    KeyName='boto3-imported',
    PublicKeyMaterial=b'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDe0xQWhfqMHefYIViQzJ0NpsDHk7uUGpsDG708qNP6jTMsyPj6Jm/'
    b'yxnnXnM4ljMwCY/xyEC1pRnbppslawGdLtGemaMJNxOPCUPsEGy5PojGetPa2aKiISYky4/wljKcdalz76ftcllOAYWOK5EYoeQPBUPu7Oi'
    b'HegFYjKFOT7Q== test@example.com',
)
assert len(imported['KeyFingerprint']) == 47, imported
step('key pairs')

group = ec2.create_security_group(GroupName='boto3-group', Description='for a test')
assert group['GroupId'].startswith('sg-'), group
ec2.authorize_security_group_ingress(
    GroupId=group['GroupId'],
    IpPermissions=[
        {'IpProtocol': 'tcp', 'FromPort': 22, 'ToPort': 22, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]},
        {'IpProtocol': 'icmp', 'FromPort': -1, 'ToPort': -1, 'IpRanges': [{'CidrIp': '10.0.0.0/8'}]},
    ],
)
found = ec2.describe_security_groups(GroupNames=['boto3-group'])['SecurityGroups'][0]
assert len(found['IpPermissions']) == 2, found
step('security group: %s' % group['GroupId'])

token = 'token-%d' % time.time()
wish = dict(
    ImageId=image['ImageId'],
    MinCount=1,
    MaxCount=1,
    KeyName='boto3-key',
    SecurityGroups=['boto3-group'],
    InstanceType='m1.tiny',
    UserData='hello',
    ClientToken=token,
)
run = ec2.run_instances(**wish)
instance_id = run['Instances'][0]['InstanceId']
again = ec2.run_instances(**wish)
assert again['ReservationId'] == run['ReservationId'], 'the client token was not honoured'
ec2.get_waiter('instance_running').wait(InstanceIds=[instance_id], WaiterConfig=PATIENT)
instance = instance_of(instance_id)
assert instance['State'] == {'Code': 16, 'Name': 'running'}, instance['State']
assert instance['PrivateIpAddress'] and instance['Placement']['AvailabilityZone'] == 'nova', instance
assert instance['SecurityGroups'][0]['GroupName'] == 'boto3-group', instance
by_filter = ec2.describe_instances(Filters=[{'Name': 'instance-state-name', 'Values': ['run*']}])
assert instance_id in [i['InstanceId'] for r in by_filter['Reservations'] for i in r['Instances']]
status = ec2.describe_instance_status(InstanceIds=[instance_id])['InstanceStatuses'][0]
assert status['InstanceStatus']['Status'] == 'ok', status
step('instance: %s' % instance_id)

output = ec2.get_console_output(InstanceId=instance_id)
assert 'CONSOLE' in output['Output'] or b'CONSOLE' in base64.b64decode(output['Output']), output
step('console output')

volume_id = ec2.create_volume(Size=1, AvailabilityZone='nova')['VolumeId']
ec2.get_waiter('volume_available').wait(VolumeIds=[volume_id], WaiterConfig=PATIENT)
attached = ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device='/dev/vdc')
assert attached['State'] in ('attaching', 'attached') and attached['AttachTime'], attached
ec2.get_waiter('volume_in_use').wait(VolumeIds=[volume_id], WaiterConfig=PATIENT)
mapping = instance_of(instance_id)['BlockDeviceMappings']
assert [m['Ebs']['VolumeId'] for m in mapping] == [volume_id], mapping
ec2.detach_volume(VolumeId=volume_id)
ec2.get_waiter('volume_available').wait(VolumeIds=[volume_id], WaiterConfig=PATIENT)
ec2.delete_volume(VolumeId=volume_id)
end = time.time() + 60
while volume_id in [v['VolumeId'] for v in ec2.describe_volumes()['Volumes']]:
    assert time.time() < end, 'the volume is still there'
    time.sleep(0.2)
step('volume: %s' % volume_id)

address = ec2.allocate_address()['PublicIp']
ec2.associate_address(PublicIp=address, InstanceId=instance_id)
end = time.time() + 60
while ec2.describe_addresses(PublicIps=[address])['Addresses'][0].get('InstanceId') != instance_id:
    assert time.time() < end, 'the address is not associated'
    time.sleep(0.2)
assert instance_of(instance_id)['PublicIpAddress'] == address
ec2.disassociate_address(PublicIp=address)
end = time.time() + 60
while ec2.describe_addresses(PublicIps=[address])['Addresses'][0].get('InstanceId'):
    assert time.time() < end, 'the address is not disassociated'
    time.sleep(0.2)
ec2.release_address(PublicIp=address)
step('address: %s' % address)

ec2.reboot_instances(InstanceIds=[instance_id])
ec2.get_waiter('instance_running').wait(InstanceIds=[instance_id], WaiterConfig=PATIENT)
end = time.time() + 60
while True:
    stopping = ec2.stop_instances(InstanceIds=[instance_id])['StoppingInstances'][0]
    assert stopping['InstanceId'] == instance_id, stopping
    if instance_of(instance_id)['State']['Name'] in ('stopping', 'stopped'):
        break
    assert time.time() < end, 'the instance does not stop'
    time.sleep(0.2)
ec2.get_waiter('instance_stopped').wait(InstanceIds=[instance_id], WaiterConfig=PATIENT)
ec2.start_instances(InstanceIds=[instance_id])
ec2.get_waiter('instance_running').wait(InstanceIds=[instance_id], WaiterConfig=PATIENT)
step('reboot, stop and start')

gone = ec2.terminate_instances(InstanceIds=[instance_id])['TerminatingInstances'][0]
assert gone['PreviousState']['Name'] == 'running', gone
ec2.get_waiter('instance_terminated').wait(InstanceIds=[instance_id], WaiterConfig=PATIENT)
ec2.delete_security_group(GroupId=group['GroupId'])
ec2.delete_key_pair(KeyName='boto3-key')
ec2.delete_key_pair(KeyName='boto3-imported')
step('terminated')

refused('InstanceNotFound', ec2.terminate_instances, InstanceIds=['i-00ffff00'])
refused('InvalidParameterValue', ec2.create_volume, Size=-1, AvailabilityZone='nova')
step('done')
