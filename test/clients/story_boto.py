"""The life of an instance through boto 2.49, as a script of 2011 would write it.

Environment: EC2_URL, EC2_ACCESS_KEY, EC2_SECRET_KEY, and BOTO_SIGNATURE (2 or 4). Prints one line a step; an assertion
that fails ends it with a traceback.
"""
import os
import time
from urllib.parse import urlparse

import boto.auth
import boto.ec2.connection
import boto.exception
from boto.ec2.connection import EC2Connection
from boto.ec2.regioninfo import RegionInfo

DEADLINE = 60

if os.environ.get('BOTO_SIGNATURE') == '2':
    EC2Connection._required_auth_capability = lambda self: ['ec2']

url = urlparse(os.environ['EC2_URL'])
conn = EC2Connection(
    aws_access_key_id=os.environ['EC2_ACCESS_KEY'],
    aws_secret_access_key=os.environ['EC2_SECRET_KEY'],
    is_secure=False,
    region=RegionInfo(None, 'nova', url.hostname),
    port=url.port,
    path=url.path,
)
conn.num_retries = 0


def step(text):
    print(text, flush=True)


def wait(what, read, *wanted):
    end = time.time() + DEADLINE
    while True:
        state = read()
        if state in wanted:
            return state
        if time.time() > end:
            raise AssertionError('%s is %s, not %s' % (what, state, ' or '.join(wanted)))
        time.sleep(0.2)


def refused(code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except boto.exception.EC2ResponseError as error:
        assert error.error_code == code, 'code %s instead of %s: %s' % (error.error_code, code, error)
        assert error.status < 500, error.status
        step('refused: %s: %s' % (code, error.error_message))
        return
    raise AssertionError('%s was not refused' % call)


zones = conn.get_all_zones()
assert [(zone.name, zone.state) for zone in zones] == [('nova', 'available')], zones
step('zones: nova available')

images = [image for image in conn.get_all_images() if image.type == 'machine']
assert images and images[0].state == 'available' and images[0].is_public, images
image = images[0]
step('image: %s' % image.id)

key = conn.create_key_pair('boto-key')
assert 'BEGIN RSA PRIVATE KEY' in key.material and len(key.fingerprint) == 47, key.fingerprint
refused('KeyPairExists', conn.create_key_pair, 'boto-key')
assert 'boto-key' in [pair.name for pair in conn.get_all_key_pairs()]
step('key pair: boto-key')

group = conn.create_security_group('boto-group', 'for a test')
assert conn.authorize_security_group('boto-group', ip_protocol='tcp', from_port=22, to_port=22, cidr_ip='0.0.0.0/0')
assert conn.authorize_security_group('boto-group', ip_protocol='icmp', from_port=-1, to_port=-1, cidr_ip='10.0.0.0/8')
assert conn.authorize_security_group('boto-group', src_security_group_name='default')
rules = conn.get_all_security_groups(['boto-group'])[0].rules
assert ('tcp', '22', '22') in [(rule.ip_protocol, rule.from_port, rule.to_port) for rule in rules], rules
assert conn.revoke_security_group('boto-group', ip_protocol='icmp', from_port=-1, to_port=-1, cidr_ip='10.0.0.0/8')
step('security group: boto-group')

refused('ImageNotFound', conn.run_instances, 'ami-00ffff00')
refused('InstanceTypeNotFoundByName', conn.run_instances, image.id, instance_type='m9.huge')

reservation = conn.run_instances(
    image.id,
    min_count=2,
    max_count=2,
    key_name='boto-key',
    security_groups=['boto-group'],
    instance_type='m1.tiny',
    user_data='hello',
)
assert len(reservation.instances) == 2 and reservation.owner_id, reservation
assert [g.id for g in reservation.groups] == ['boto-group'], reservation.groups
assert sorted(int(i.ami_launch_index) for i in reservation.instances) == [0, 1]
for instance in reservation.instances:
    assert instance.state == 'pending' and instance.state_code == 0, instance.state
    wait(instance.id, instance.update, 'running')
    assert instance.state_code == 16
    assert instance.private_ip_address and instance.private_dns_name, instance.__dict__
    assert instance.public_dns_name == instance.private_ip_address
    assert instance.key_name == 'boto-key' and instance.placement == 'nova', instance.__dict__
first, second = reservation.instances
assert first.private_ip_address != second.private_ip_address
step('instances: %s %s' % (first.id, second.id))

assert 'CONSOLE' in first.get_console_output().output.decode('utf-8', 'replace')
step('console output')

volume = conn.create_volume(1, 'nova')
wait(volume.id, volume.update, 'available')
assert volume.attach(first.id, '/dev/vdc')
wait(volume.id, volume.update, 'in-use')
assert volume.attach_data.instance_id == first.id and volume.attach_data.device == '/dev/vdc', volume.attach_data.__dict__
refused('ApiError', volume.delete)
assert volume.detach()
wait(volume.id, volume.update, 'available')
assert volume.delete()
end = time.time() + DEADLINE
while volume.id in [v.id for v in conn.get_all_volumes()]:
    assert time.time() < end, '%s is still there' % volume.id
    time.sleep(0.2)
refused('VolumeNotFound', conn.get_all_volumes, [volume.id])
step('volume: %s' % volume.id)

address = conn.allocate_address()
assert address.associate(first.id)
wait(address.public_ip, lambda: conn.get_all_addresses([address.public_ip])[0].instance_id, first.id)
first.update()
assert first.ip_address == address.public_ip and first.public_dns_name == address.public_ip, first.__dict__
refused('ApiError', address.release)
assert address.disassociate()
wait(address.public_ip, lambda: conn.get_all_addresses([address.public_ip])[0].instance_id or '', '')
assert address.release()
# nova-network releases it after the answer: the API only casts
wait(address.public_ip, lambda: address.public_ip in [a.public_ip for a in conn.get_all_addresses()], False)
step('address: %s' % address.public_ip)

assert first.reboot()
wait(first.id, first.update, 'running')
step('reboot')
first.stop()
wait(first.id, first.update, 'stopped')
assert first.state_code == 80
first.start()
wait(first.id, first.update, 'running')
step('stop and start')

conn.terminate_instances([first.id, second.id])
for instance in (first, second):
    end = time.time() + DEADLINE
    while instance.id in [i.id for r in conn.get_all_instances() for i in r.instances]:
        assert time.time() < end, '%s is still there' % instance.id
        time.sleep(0.2)
refused('InstanceNotFound', conn.get_console_output, 'i-00ffff00')
assert conn.delete_security_group('boto-group')
assert conn.delete_key_pair('boto-key')
step('terminated')

bad = EC2Connection(
    aws_access_key_id=os.environ['EC2_ACCESS_KEY'],
    aws_secret_access_key='wrong',
    is_secure=False,
    region=RegionInfo(None, 'nova', url.hostname),
    port=url.port,
    path=url.path,
)
bad.num_retries = 0
refused('SignatureDoesNotMatch', bad.get_all_zones)
step('done')
