"""Refusals as boto3 shows them, against a cloud with --ec2_error_codes=aws, and what waiters need of an end.

Environment: EC2_URL, EC2_ACCESS_KEY, EC2_SECRET_KEY. Prints one line for each refusal; an assertion that fails ends it
with a traceback.
"""
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
    config=Config(retries={'max_attempts': 0}, parameter_validation=False),
)
PATIENT = {'Delay': 1, 'MaxAttempts': 60}


def refused(code, call, status=400, **kwargs):
    try:
        call(**kwargs)
    except ClientError as error:
        answer = error.response
        assert answer['Error']['Code'] == code, (code, answer['Error'])
        assert answer['ResponseMetadata']['HTTPStatusCode'] == status, answer
        assert answer['ResponseMetadata']['RequestId'], answer
        print('%s: %s' % (code, answer['Error']['Message']), flush=True)
        return
    raise AssertionError('not refused: %s' % code)


image = ec2.describe_images()['Images'][0]['ImageId']

refused('InvalidInstanceID.NotFound', ec2.describe_instances, InstanceIds=['i-00ffff00'])
refused('InvalidInstanceID.NotFound', ec2.terminate_instances, InstanceIds=['i-00ffff00'])
refused('InvalidInstanceID.Malformed', ec2.stop_instances, InstanceIds=['i-nothing'])
refused('InvalidVolume.NotFound', ec2.describe_volumes, VolumeIds=['vol-00ffff00'])
refused('InvalidVolumeID.Malformed', ec2.delete_volume, VolumeId='vol-')
refused('InvalidSnapshot.NotFound', ec2.describe_snapshots, SnapshotIds=['snap-00ffff00'])
refused('InvalidAMIID.NotFound', ec2.describe_images, ImageIds=['ami-00ffff00'])
refused('InvalidAMIID.NotFound', ec2.run_instances, ImageId='ami-00ffff00', MinCount=1, MaxCount=1)
refused('InvalidKeyPair.NotFound', ec2.run_instances, ImageId=image, MinCount=1, MaxCount=1, KeyName='nobodys')
refused('InvalidGroup.NotFound', ec2.run_instances, ImageId=image, MinCount=1, MaxCount=1, SecurityGroups=['nobodys'])
refused('InvalidParameterValue', ec2.run_instances, ImageId=image, MinCount=1, MaxCount=1, InstanceType='x9.huge')
refused('InvalidParameterCombination', ec2.run_instances, ImageId=image, MinCount=2, MaxCount=1)
refused('InvalidParameterValue', ec2.run_instances, ImageId=image, MinCount=-1, MaxCount=1)
refused('InvalidAddress.NotFound', ec2.release_address, PublicIp='192.0.2.1')
refused('InvalidParameterValue', ec2.create_volume, Size=-1, AvailabilityZone='nova')
refused('InvalidParameterValue', ec2.create_volume, Size=2 ** 40, AvailabilityZone='nova')
refused('MissingParameter', ec2.attach_volume, VolumeId='vol-00000001', InstanceId='i-00000001')
refused('UnsupportedOperation', ec2.create_vpc, CidrBlock='10.0.0.0/16')
refused('DryRunOperation', ec2.allocate_address, status=412, DryRun=True)

ec2.create_key_pair(KeyName='twice')
refused('InvalidKeyPair.Duplicate', ec2.create_key_pair, KeyName='twice')
refused('InvalidKey.Format', ec2.import_key_pair, KeyName='bad', PublicKeyMaterial=b'no key')
ec2.create_security_group(GroupName='twice', Description='a test')
refused('InvalidGroup.Duplicate', ec2.create_security_group, GroupName='twice', Description='a test')
rule = dict(GroupName='twice', IpProtocol='tcp', FromPort=22, ToPort=22, CidrIp='10.0.0.0/8')
ec2.authorize_security_group_ingress(**rule)
refused('InvalidPermission.Duplicate', ec2.authorize_security_group_ingress, **rule)
ec2.revoke_security_group_ingress(**rule)
refused('InvalidPermission.NotFound', ec2.revoke_security_group_ingress, **rule)

wish = dict(ImageId=image, MinCount=1, MaxCount=1, InstanceType='m1.tiny')
instance = ec2.run_instances(ClientToken='one', **wish)['Instances'][0]['InstanceId']
refused('IdempotentParameterMismatch', ec2.run_instances, ClientToken='one', **dict(wish, MaxCount=2))
ec2.get_waiter('instance_running').wait(InstanceIds=[instance], WaiterConfig=PATIENT)
refused('InstanceLimitExceeded', ec2.run_instances, **dict(wish, MinCount=9, MaxCount=9))

volume = ec2.create_volume(Size=1, AvailabilityZone='nova')['VolumeId']
ec2.get_waiter('volume_available').wait(VolumeIds=[volume], WaiterConfig=PATIENT)
refused('IncorrectState', ec2.detach_volume, VolumeId=volume)
refused('InvalidParameterValue', ec2.attach_volume, VolumeId=volume, InstanceId=instance, Device='tape')
ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device='/dev/vdc')
ec2.get_waiter('volume_in_use').wait(VolumeIds=[volume], WaiterConfig=PATIENT)
refused('VolumeInUse', ec2.delete_volume, VolumeId=volume)
refused('VolumeInUse', ec2.attach_volume, VolumeId=volume, InstanceId=instance, Device='/dev/vdd')
refused('VolumeLimitExceeded', ec2.create_volume, Size=5000, AvailabilityZone='nova')

address = ec2.allocate_address()['PublicIp']
refused('InvalidAssociationID.NotFound', ec2.disassociate_address, PublicIp=address)
refused('AddressLimitExceeded', ec2.allocate_address)

ec2.terminate_instances(InstanceIds=[instance])
ec2.get_waiter('instance_terminated').wait(InstanceIds=[instance], WaiterConfig=PATIENT)
# It stays for an hour for whoever names it, and is in no listing.
shown = ec2.describe_instances(InstanceIds=[instance])['Reservations'][0]['Instances'][0]
assert shown['State'] == {'Code': 48, 'Name': 'terminated'}, shown
listed = [i['InstanceId'] for r in ec2.describe_instances()['Reservations'] for i in r['Instances']]
assert instance not in listed, listed
assert ec2.terminate_instances(InstanceIds=[instance])['TerminatingInstances'][0]['CurrentState']['Name'] == 'terminated'
refused('InvalidInstanceID.NotFound', ec2.reboot_instances, InstanceIds=[instance])

failed = ec2.run_instances(**dict(wish, InstanceType='m1.huge'))['Instances'][0]['InstanceId']
for attempt in range(300):
    shown = ec2.describe_instances(InstanceIds=[failed])['Reservations'][0]['Instances'][0]
    if shown['State']['Name'] == 'error':
        break
    time.sleep(0.2)
assert shown['State']['Name'] == 'error', shown
assert shown['StateReason']['Message'], shown
print('stateReason: %s: %s' % (shown['StateReason']['Code'], shown['StateReason']['Message']))
refused('IncorrectInstanceState', ec2.start_instances, InstanceIds=[failed])
ec2.terminate_instances(InstanceIds=[failed])
print('done')
