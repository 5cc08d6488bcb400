"""The life of an instance, and all that it uses, through libcloud.

Environment: EC2_URL, EC2_ACCESS_KEY, EC2_SECRET_KEY, STORY (a word which its names begin with), and LIBCLOUD_DRIVER, a
driver's name. Only EUCALYPTUS takes a path when it is made; EC2 and NIMBUS have it set afterwards. What the driver has
no method for is no step.
"""
import os
from urllib.parse import urlparse

import libcloud
import libcloud.common.exceptions
import libcloud.common.types
from libcloud.compute.base import NodeImage, NodeSize
from libcloud.compute.drivers.ec2 import ExEC2AvailabilityZone, EC2NodeLocation
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState, Provider, StorageVolumeState

import story
from story import step, wait

url = urlparse(os.environ['EC2_URL'])
project = os.environ['EC2_ACCESS_KEY'].split(':')[1]
kind = os.environ['LIBCLOUD_DRIVER']
NAME = os.environ['STORY']
KEY, IMPORTED, GROUP, CALLERS = [NAME + end for end in ('-key', '-imported', '-group', '-callers')]


def connect(secret):
    place = dict(secure=False, host=url.hostname, port=url.port)
    if kind == 'EUCALYPTUS':
        return get_driver(Provider.EUCALYPTUS)(os.environ['EC2_ACCESS_KEY'], secret, path=url.path, **place)
    made = get_driver(getattr(Provider, kind))(os.environ['EC2_ACCESS_KEY'], secret, **place)
    made.path = url.path
    return made


def parts_of(error):
    """libcloud has no field for the code: it writes code and message into one text."""
    code, _, message = str(getattr(error, 'message', None) or error).strip("'").partition(': ')
    return getattr(error, 'code', None), code, message


driver = connect(os.environ['EC2_SECRET_KEY'])
refused = story.Refusals((libcloud.common.exceptions.BaseHTTPError, libcloud.common.types.InvalidCredsError), parts_of)
story.client('libcloud', libcloud.__version__)

zones = driver.ex_list_availability_zones()
assert [(zone.name, zone.zone_state) for zone in zones] == [('nova', 'available')], zones
step('zones')
location = EC2NodeLocation('0', 'nova', 'here', driver, ExEC2AvailabilityZone('nova', 'available', driver.region_name))

image = min((one for one in driver.list_images() if one.extra['image_type'] == 'machine'), key=lambda one: one.id)
assert image.extra['state'] == 'available' and image.extra['is_public'] == 'true', image.extra
assert driver.get_image(image.id).id == image.id
assert image.id in [one.id for one in driver.list_images(ex_owner=image.extra['owner_id'])]
step('images')
if kind == 'EUCALYPTUS':
    size = [one for one in driver.list_sizes() if one.id == 'm1.tiny'][0]
    assert size.ram == 512 and size.extra['cpu'] == 1, size
    step('instance types')
size = NodeSize('m1.tiny', 'm1.tiny', 512, 0, 0, 0, driver)

key = driver.create_key_pair(KEY)
assert 'BEGIN RSA PRIVATE KEY' in key.private_key and len(key.fingerprint) == 47, key
refused('KeyPairExists', driver.create_key_pair, KEY)
assert driver.get_key_pair(KEY).fingerprint == key.fingerprint
step('key pairs')
assert len(driver.import_key_pair_from_string(IMPORTED, story.PUBLIC_KEY.decode()).fingerprint) == 47
assert set((KEY, IMPORTED)) <= set(pair.name for pair in driver.list_key_pairs())
step('key import')

for name in (GROUP, CALLERS):
    driver.ex_create_security_group(name, 'for a test')
refused('ApiError', driver.ex_create_security_group, GROUP, 'again')
assert driver.ex_authorize_security_group(GROUP, 22, 22, '0.0.0.0/0')
group = driver.ex_get_security_groups(group_names=[GROUP])[0]
callers = dict(from_port=80, to_port=81, group_pairs=[{'group_name': CALLERS, 'user_id': project}])
assert driver.ex_authorize_security_group_ingress(group.id, **callers)


def rules():
    return driver.ex_get_security_groups(group_names=[GROUP])[0].ingress_rules


assert sorted((rule['from_port'], rule['cidr_ips']) for rule in rules()) == [('22', ['0.0.0.0/0']), ('80', [])], rules()
assert [pair['group_name'] for rule in rules() for pair in rule['group_pairs']] == [CALLERS], rules()
assert driver.ex_revoke_security_group_ingress(group.id, **callers)
assert [rule['from_port'] for rule in rules()] == ['22'], rules()
assert set((GROUP, CALLERS, 'default')) <= set(driver.ex_list_security_groups())
step('security groups')

unknown_image = NodeImage('ami-00ffff00', 'none', driver)
refused('ImageNotFound', driver.create_node, name=NAME, size=size, image=unknown_image)
refused('KeypairNotFound', driver.create_node, name=NAME, size=size, image=image, ex_keyname=NAME + '-no-key')
node = driver.create_node(
    name=NAME,
    size=size,
    image=image,
    ex_keyname=KEY,
    ex_security_groups=[GROUP],
    ex_userdata='hello from libcloud',
    ex_metadata={'story': NAME},
)


def shown():
    return driver.list_nodes(ex_node_ids=[node.id])[0]


def state():
    """In EC2's word: the driver has none of its own for stopped."""
    return shown().extra['status']


assert node.state == NodeState.PENDING, node
wait(node.id, state, 'running')
node = shown()
assert node.state == NodeState.RUNNING and node.private_ips and node.extra['key_name'] == KEY and node.extra['instance_type'] == 'm1.tiny', node.extra
assert [one['group_name'] for one in node.extra['groups']] == [GROUP], node.extra['groups']
step('run instances')
assert node.id in [one.id for one in driver.list_nodes()]
step('describe instances')
assert 'CONSOLE' in driver.ex_get_console_output(node)['output']
step('console output')

volume = driver.create_volume(1, NAME + '-volume', location=location)


def volume_now(one):
    found = [v for v in driver.list_volumes() if v.id == one.id]
    return found[0].state if found else None


wait(volume.id, lambda: volume_now(volume), StorageVolumeState.AVAILABLE)
assert driver.attach_volume(node, volume, '/dev/vdc')
wait(volume.id, lambda: volume_now(volume), StorageVolumeState.INUSE)
held = driver.list_volumes(node=node)
assert [(v.id, v.extra['device'], v.extra['instance_id']) for v in held] == [(volume.id, '/dev/vdc', node.id)], held
refused('ApiError', driver.destroy_volume, volume)
assert driver.detach_volume(volume)
wait(volume.id, lambda: volume_now(volume), StorageVolumeState.AVAILABLE)
step('volumes')
snapshot = driver.create_volume_snapshot(volume, NAME + '-snapshot')
wait(snapshot.id, lambda: driver.list_snapshots(snapshot=snapshot)[0].extra['state'], 'available')
assert [one.id for one in driver.list_volume_snapshots(volume)] == [snapshot.id]
copy = driver.create_volume(1, NAME + '-copy', location=location, snapshot=snapshot)
wait(copy.id, lambda: volume_now(copy), StorageVolumeState.AVAILABLE)
assert [v.extra['snapshot_id'] for v in driver.list_volumes() if v.id == copy.id] == [snapshot.id]
step('snapshots')

if kind != 'NIMBUS':
    # That one claims to set tags, and does nothing.
    assert driver.ex_describe_tags(node) == {'Name': NAME, 'story': NAME}, driver.ex_describe_tags(node)
    assert driver.ex_describe_tags(volume) == {'Name': NAME + '-volume'}
    assert driver.ex_create_tags(node, {'more': 'words'})
    assert [one.id for one in driver.list_nodes(ex_filters={'tag:more': 'words'})] == [node.id]
    assert driver.ex_delete_tags(node, {'more': 'words'})
    assert 'more' not in driver.ex_describe_tags(node)
    step('tags and filters')

mapping = [{'DeviceName': '/dev/vda', 'Ebs': {'SnapshotId': snapshot.id}}]
registered = driver.ex_register_image(NAME + '-of-snapshot', root_device_name='/dev/vda', block_device_mapping=mapping)
assert driver.get_image(registered.id).id == registered.id
assert driver.delete_image(registered)
step('register image')
made = driver.create_image(node, NAME + '-image', 'of a test')


def made_now(field):
    return driver.get_image(made.id).extra[field]


wait(made.id, lambda: made_now('state'), 'available')
assert made_now('is_public') == 'false'
assert driver.ex_modify_image_attribute(made, {'LaunchPermission.Add.1.Group': 'all'})
assert made_now('is_public') == 'true'
assert driver.ex_modify_image_attribute(made, {'LaunchPermission.Remove.1.Group': 'all'})
assert made_now('is_public') == 'false'
assert driver.delete_image(made)
refused('ImageNotFound', driver.get_image, made.id)
step('create image, launch permissions')

# A volume stays as long as it has a snapshot.
assert driver.destroy_volume_snapshot(snapshot)
wait(snapshot.id, lambda: snapshot.id in [one.id for one in driver.list_snapshots()], False)
for one in (copy, volume):
    assert driver.destroy_volume(one)
    wait(one.id, lambda: volume_now(one), None)

address = driver.ex_allocate_address()


def holder():
    return [one.instance_id for one in driver.ex_describe_all_addresses() if one.ip == address.ip]


assert address.ip in [one.ip for one in driver.ex_describe_all_addresses()]
driver.ex_associate_address_with_node(node, address)
wait(address.ip, holder, [node.id])
assert set(shown().public_ips) == set([address.ip]), shown()
refused('ApiError', driver.ex_release_address, address)
assert driver.ex_disassociate_address(address)
wait(address.ip, holder, [None], [''])
assert driver.ex_release_address(address)
wait(address.ip, holder, [])
step('addresses')

assert driver.reboot_node(node)
wait(node.id, state, 'running')
step('reboot')


def until_stopping():
    """A reboot goes on for a moment, and an instance which reboots isn't stopped."""
    driver.stop_node(node)
    return state()


wait(node.id, until_stopping, 'stopping', 'stopped')
wait(node.id, state, 'stopped')
assert driver.ex_modify_instance_attribute(node, {'InstanceType.Value': 'm1.small'})
assert shown().extra['instance_type'] == 'm1.small'
step('modify instance attribute')
assert driver.start_node(node)
wait(node.id, state, 'running')
step('stop and start')

assert driver.destroy_node(node)
wait(node.id, lambda: node.id in [one.id for one in driver.list_nodes()], False)
for name in (GROUP, CALLERS):
    assert driver.ex_delete_security_group(name)
assert not set((GROUP, CALLERS)) & set(driver.ex_list_security_groups())
for pair in driver.list_key_pairs():
    if pair.name in (KEY, IMPORTED):
        assert driver.delete_key_pair(pair)
assert not set((KEY, IMPORTED)) & set(pair.name for pair in driver.list_key_pairs())
step('terminate')

node.id = story.UNKNOWN_INSTANCE
refused('InstanceNotFound', driver.destroy_node, node)
refused('SignatureDoesNotMatch', connect('wrong').list_images)
story.done()
