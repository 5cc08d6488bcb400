"""The life of an instance, and all that it uses, through boto 1.9b, 2.0 or 2.49, as a script of 2011 would write it.

Environment: EC2_URL, EC2_ACCESS_KEY, EC2_SECRET_KEY, STORY (a word which its names begin with), and for boto 2.49
BOTO_SIGNATURE (2 or 4). What a version doesn't have yet (tags, importing a key) is no step of it.
"""
import os

try:
    from urllib.parse import urlparse
except ImportError:
    from urlparse import urlparse

import boto
import boto.exception
from boto.ec2.connection import EC2Connection
from boto.ec2.regioninfo import RegionInfo

import story
from story import step, wait

if os.environ.get('BOTO_SIGNATURE') == '2':
    EC2Connection._required_auth_capability = lambda self: ['ec2']
boto.config.add_section('Boto') if not boto.config.has_section('Boto') else None
boto.config.set('Boto', 'num_retries', '0')

url = urlparse(os.environ['EC2_URL'])
project = os.environ['EC2_ACCESS_KEY'].split(':')[1]
NAME = os.environ['STORY']
KEY, IMPORTED, GROUP, CALLERS = [NAME + end for end in ('-key', '-imported', '-group', '-callers')]


def connect(secret):
    return EC2Connection(
        aws_access_key_id=os.environ['EC2_ACCESS_KEY'],
        aws_secret_access_key=secret,
        is_secure=False,
        region=RegionInfo(None, 'nova', url.hostname),
        port=url.port,
        path=url.path,
    )


conn = connect(os.environ['EC2_SECRET_KEY'])
refused = story.Refusals(
    boto.exception.EC2ResponseError, lambda error: (error.status, error.error_code, error.error_message)
)
story.client('boto', boto.Version)


def can(*methods):
    return all(hasattr(conn, method) for method in methods)


def instance_of(instance_id):
    return conn.get_all_instances([instance_id])[0].instances[0]


def state_of(instance_id):
    return instance_of(instance_id).state


assert [(zone.name, zone.state) for zone in conn.get_all_zones()] == [('nova', 'available')]
step('zones')
regions = conn.get_all_regions()
assert [region.name for region in regions] == ['nova'] and url.hostname in regions[0].endpoint, regions[0].endpoint
step('regions')

images = [image for image in conn.get_all_images() if image.type == 'machine' and image.is_public]
base = min(images, key=lambda one: one.id)
assert base.state == 'available' and base.location, base.__dict__
image = conn.get_image(base.id)
assert image.id == base.id and image.ownerId, image.__dict__
assert image.id in [one.id for one in conn.get_all_images(owners=[image.ownerId])]
assert conn.get_image_attribute(image.id).attrs.get('groups') == ['all']
step('images')

if can('get_all_instance_types'):
    assert set(int(one.memory) for one in conn.get_all_instance_types() if one.name == 'm1.tiny') == set([512])
    step('instance types')

key = conn.create_key_pair(KEY)
assert 'BEGIN RSA PRIVATE KEY' in key.material and len(key.fingerprint) == 47, key.fingerprint
refused('KeyPairExists', conn.create_key_pair, KEY)
assert conn.get_key_pair(KEY).fingerprint == key.fingerprint
assert KEY in [pair.name for pair in conn.get_all_key_pairs()]
step('key pairs')
if can('import_key_pair'):
    assert len(conn.import_key_pair(IMPORTED, story.PUBLIC_KEY).fingerprint) == 47
    assert IMPORTED in [pair.name for pair in conn.get_all_key_pairs()]
    step('key import')

for name in (GROUP, CALLERS):
    assert conn.create_security_group(name, 'for a test').name == name
refused('ApiError', conn.create_security_group, GROUP, 'again')
ssh = dict(ip_protocol='tcp', from_port=22, to_port=22, cidr_ip='0.0.0.0/0')
ping = dict(ip_protocol='icmp', from_port=-1, to_port=-1, cidr_ip='10.0.0.0/8')
callers = dict(src_security_group_name=CALLERS, src_security_group_owner_id=project)
assert conn.authorize_security_group(GROUP, **ssh)
assert conn.authorize_security_group(GROUP, **ping)
assert conn.authorize_security_group(GROUP, **callers)


def rules_of(name):
    group = conn.get_all_security_groups([name])[0]
    return [
        (rule.ip_protocol, rule.from_port, rule.to_port, grant.cidr_ip or grant.name)
        for rule in group.rules
        for grant in rule.grants
    ]


rules = rules_of(GROUP)
assert ('tcp', '22', '22', '0.0.0.0/0') in rules and ('icmp', '-1', '-1', '10.0.0.0/8') in rules, rules
assert [rule for rule in rules if rule[3] == CALLERS], rules
assert conn.revoke_security_group(GROUP, **ping)
assert conn.revoke_security_group(GROUP, **callers)
assert rules_of(GROUP) == [('tcp', '22', '22', '0.0.0.0/0')], rules_of(GROUP)
assert set((GROUP, CALLERS, 'default')) <= set(group.name for group in conn.get_all_security_groups())
step('security groups')

refused('ImageNotFound', conn.run_instances, 'ami-00ffff00')
refused('KeypairNotFound', conn.run_instances, image.id, key_name=NAME + '-no-key')
refused('InstanceTypeNotFoundByName', conn.run_instances, image.id, instance_type='m9.huge')
reservation = conn.run_instances(
    image.id,
    min_count=2,
    max_count=2,
    key_name=KEY,
    security_groups=[GROUP],
    instance_type='m1.tiny',
    user_data='hello from boto',
    placement='nova',
)
assert len(reservation.instances) == 2 and reservation.owner_id == project, reservation.__dict__
assert [group.id for group in reservation.groups] == [GROUP], reservation.groups
assert sorted(int(instance.ami_launch_index) for instance in reservation.instances) == [0, 1]
for instance in reservation.instances:
    assert instance.state == 'pending' and int(instance.state_code) == 0, instance.state
    wait(instance.id, lambda: state_of(instance.id), 'running')
first, second = [instance_of(instance.id) for instance in reservation.instances]
for instance in (first, second):
    assert int(instance.state_code) == 16 and instance.image_id == image.id, instance.__dict__
    assert instance.private_ip_address and instance.private_dns_name, instance.__dict__
    assert instance.public_dns_name == instance.private_ip_address
    assert instance.key_name == KEY and instance.placement == 'nova' and instance.instance_type == 'm1.tiny'
assert first.private_ip_address != second.private_ip_address
step('run instances')
shown = [instance.id for one in conn.get_all_instances() for instance in one.instances]
assert first.id in shown and second.id in shown, shown
step('describe instances')

assert b'CONSOLE' in first.get_console_output().output
step('console output')
assert conn.get_instance_attribute(first.id, 'instanceType')['instanceType'] == 'm1.tiny'
assert conn.get_instance_attribute(first.id, 'rootDeviceName')['rootDeviceName'].startswith('/dev/')
step('instance attributes')
assert conn.monitor_instance(first.id) and conn.unmonitor_instance(first.id)
step('monitoring')

volume = conn.create_volume(1, 'nova')
wait(volume.id, volume.update, 'available')
assert conn.attach_volume(volume.id, first.id, '/dev/vdc')
wait(volume.id, volume.update, 'in-use')
attached = volume.attach_data
assert (attached.instance_id, attached.device) == (first.id, '/dev/vdc'), attached.__dict__
assert list(instance_of(first.id).block_device_mapping) == ['/dev/vdc']
refused('ApiError', volume.delete)
assert volume.detach()
wait(volume.id, volume.update, 'available')
step('volumes')

snapshot = conn.create_snapshot(volume.id, 'of a test')
wait(snapshot.id, lambda: conn.get_all_snapshots([snapshot.id])[0].status, 'available', 'completed')
found = [one for one in conn.get_all_snapshots(owner='self') if one.id == snapshot.id][0]
assert found.volume_id == volume.id and int(found.volume_size) == 1 and found.description == 'of a test'
copy = conn.create_volume(1, 'nova', snapshot.id)
wait(copy.id, copy.update, 'available')
assert copy.snapshot_id == snapshot.id, copy.snapshot_id
step('snapshots')

if can('create_tags', 'delete_tags', 'get_all_tags'):
    conn.create_tags([first.id, volume.id], {'story': NAME})
    assert instance_of(first.id).tags == {'story': NAME}
    tagged = conn.get_all_instances(filters={'tag:story': NAME})
    assert [instance.id for one in tagged for instance in one.instances] == [first.id], tagged
    mine = [tag.res_id for tag in conn.get_all_tags() if tag.value == NAME]
    assert sorted(mine) == sorted([first.id, volume.id]), mine
    conn.delete_tags([first.id, volume.id], {'story': NAME})
    assert instance_of(first.id).tags == {}
    step('tags and filters')

if boto.Version == '1.9b':
    # Its image_location becomes a parameter which nobody knows, so scripts gave the location as name; and it fails of
    # block devices before it sends anything.
    refused('InvalidManifest', conn.register_image, 'no-bucket/image.manifest.xml')
else:
    refused('InvalidManifest', conn.register_image, NAME, image_location='no-bucket/image.manifest.xml')
    from boto.ec2.blockdevicemapping import BlockDeviceMapping, BlockDeviceType

    mapping = BlockDeviceMapping()
    mapping['/dev/vda'] = BlockDeviceType()
    mapping['/dev/vda'].snapshot_id = snapshot.id
    registered = conn.register_image(NAME + '-of-snapshot', root_device_name='/dev/vda', block_device_map=mapping)
    assert conn.get_image(registered).root_device_type == 'ebs'
    conn.deregister_image(registered)
    step('register image')
made = conn.create_image(second.id, NAME + '-image', 'of a test')
if boto.Version == '1.9b':
    # Nor does it find the id in the answer.
    made = [one.id for one in conn.get_all_images() if one.name == NAME + '-image'][0]
wait(made, lambda: conn.get_image(made).state, 'available')
assert not conn.get_image(made).is_public and conn.get_image_attribute(made).attrs.get('groups') is None
conn.modify_image_attribute(made, operation='add', groups=['all'])
assert conn.get_image(made).is_public and conn.get_image_attribute(made).attrs['groups'] == ['all']
conn.modify_image_attribute(made, operation='remove', groups=['all'])
assert not conn.get_image(made).is_public
refused('ApiError', conn.modify_image_attribute, made, operation='add', user_ids=['somebody'])
assert conn.reset_image_attribute(made)
assert not conn.get_image(made).is_public
conn.deregister_image(made)
refused('ImageNotFound', conn.get_all_images, [made])
step('create image, launch permissions')

# A volume stays as long as it has a snapshot.
assert conn.delete_snapshot(snapshot.id)
wait(snapshot.id, lambda: snapshot.id in [s.id for s in conn.get_all_snapshots()], False)
for one in (copy, volume):
    assert one.delete()
    wait(one.id, lambda: one.id in [v.id for v in conn.get_all_volumes()], False)
    refused('VolumeNotFound', conn.get_all_volumes, [one.id])

address = conn.allocate_address()
assert conn.associate_address(first.id, address.public_ip)


def holder():
    return conn.get_all_addresses([address.public_ip])[0].instance_id or ''


wait(address.public_ip, holder, first.id)
assert instance_of(first.id).public_dns_name == address.public_ip, first.__dict__
refused('ApiError', conn.release_address, address.public_ip)
assert conn.disassociate_address(address.public_ip)
wait(address.public_ip, holder, '')
assert conn.release_address(address.public_ip)
# nova-network releases it after the answer: the API only casts
wait(address.public_ip, lambda: address.public_ip in [a.public_ip for a in conn.get_all_addresses()], False)
step('addresses')

assert first.reboot()
wait(first.id, lambda: state_of(first.id), 'running')
step('reboot')


def until_stopping():
    """A reboot goes on for a moment, and an instance which reboots isn't stopped."""
    conn.stop_instances([first.id])
    return state_of(first.id)


wait(first.id, until_stopping, 'stopping', 'stopped')
wait(first.id, lambda: state_of(first.id), 'stopped')
assert int(instance_of(first.id).state_code) == 80
if can('modify_instance_attribute'):
    assert conn.modify_instance_attribute(first.id, 'userData', 'aGVsbG8gYWdhaW4=')
    assert conn.get_instance_attribute(first.id, 'userData')['userData']
    step('modify instance attribute')
conn.start_instances([first.id])
wait(first.id, lambda: state_of(first.id), 'running')
step('stop and start')

ended = conn.terminate_instances([first.id, second.id])
assert [instance.id for instance in ended] == [first.id, second.id], ended
for instance in (first, second):
    wait(instance.id, lambda: instance.id in [i.id for r in conn.get_all_instances() for i in r.instances], False)
for name in (GROUP, CALLERS):
    assert conn.delete_security_group(name)
refused('SecurityGroupNotFoundForProject', conn.get_all_security_groups, [GROUP])
for name in [KEY] + ([IMPORTED] if can('import_key_pair') else []):
    assert conn.delete_key_pair(name)
assert not set([KEY, IMPORTED]) & set(pair.name for pair in conn.get_all_key_pairs())
step('terminate')

refused('InstanceNotFound', conn.terminate_instances, [story.UNKNOWN_INSTANCE])
refused('SignatureDoesNotMatch', connect('wrong').get_all_zones)
story.done()
