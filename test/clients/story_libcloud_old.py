"""The life of an instance through a libcloud of 2011, on Python 2.7.

Environment: EC2_URL, EC2_ACCESS_KEY, EC2_SECRET_KEY, STORY (a word which its names begin with). Its EC2 driver has a path
for EUCALYPTUS alone; others have it set. It knows no volumes, snapshots, consoles and states between stop and start.
"""
import os
import tempfile
import warnings
from urlparse import urlparse

# It says at each connection that it looks at no certificates, which plain HTTP has none of.
warnings.simplefilter('ignore')
import libcloud
from libcloud.compute.base import NodeImage, NodeSize
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState, Provider

import story
from story import step, wait

url = urlparse(os.environ['EC2_URL'])
NAME = os.environ['STORY']
KEY, IMPORTED, GROUP = [NAME + end for end in ('-key', '-imported', '-group')]


def connect(secret, provider=Provider.EUCALYPTUS):
    place = dict(secure=False, host=url.hostname, port=url.port)
    key = os.environ['EC2_ACCESS_KEY']
    if provider == Provider.EUCALYPTUS:
        return get_driver(provider)(key, secret, path=url.path, **place)
    made = get_driver(provider)(key, secret, **place)
    made.path = url.path
    return made


def parts_of(error):
    """It writes code and message into one text."""
    code, _, message = str(error).strip("'").partition(': ')
    return None, code, message


driver = connect(os.environ['EC2_SECRET_KEY'])
# It raises plain exceptions.
refused = story.Refusals((Exception,), parts_of)
story.client('libcloud', libcloud.__version__)

assert [zone.name for zone in driver.ex_list_availability_zones()] == ['nova']
step('zones')
image = min((one for one in driver.list_images() if one.id.startswith('ami-')), key=lambda one: one.id)
for provider in (Provider.EC2, Provider.NIMBUS):
    assert image.id in [one.id for one in connect(os.environ['EC2_SECRET_KEY'], provider).list_images()]
step('images')
size = NodeSize('m1.tiny', 'm1.tiny', 512, 0, 0, 0, driver)

made = driver.ex_create_keypair(KEY)
assert 'BEGIN RSA PRIVATE KEY' in made['keyMaterial'] and len(made['keyFingerprint']) == 47, made
refused('KeyPairExists', driver.ex_create_keypair, KEY)
assert driver.ex_describe_keypairs(KEY) == {'keyName': KEY}
step('key pairs')
with tempfile.NamedTemporaryFile() as public:
    public.write(story.PUBLIC_KEY)
    public.flush()
    assert driver.ex_import_keypair(IMPORTED, public.name)['keyName'] == IMPORTED
step('key import')

driver.ex_create_security_group(GROUP, 'for a test')
refused('ApiError', driver.ex_create_security_group, GROUP, 'again')
assert len(driver.ex_authorize_security_group_permissive(GROUP)) == 3
step('security groups')

refused('ImageNotFound', driver.create_node, name=NAME, size=size, image=NodeImage('ami-00ffff00', 'none', driver))
refused('KeypairNotFound', driver.create_node, name=NAME, size=size, image=image, ex_keyname=NAME + '-no-key')
node = driver.create_node(
    name=NAME,
    size=size,
    image=image,
    ex_keyname=KEY,
    ex_securitygroup=GROUP,
    ex_userdata='hello from libcloud',
    ex_clienttoken=NAME + '-token',
)


def shown():
    return [one for one in driver.list_nodes() if one.id == node.id]


def state():
    return shown()[0].state


wait(node.id, state, NodeState.RUNNING)
assert shown()[0].private_ip[0] and shown()[0].extra['keyname'] == KEY, shown()[0].extra
assert shown()[0].extra['instancetype'] == 'm1.tiny'
step('run instances')
assert shown()[0].name == NAME
step('describe instances')
driver.ex_create_tags(node, {'more': 'words'})
assert driver.ex_describe_tags(node) == {'Name': NAME, 'more': 'words'}, driver.ex_describe_tags(node)
driver.ex_delete_tags(node, {'more': 'words'})
assert driver.ex_describe_tags(node) == {'Name': NAME}
step('tags and filters')
assert driver.ex_describe_addresses_for_node(node) == []
step('addresses')
assert driver.reboot_node(node)
wait(node.id, state, NodeState.RUNNING)
step('reboot')
assert driver.destroy_node(node)
wait(node.id, lambda: len(shown()), 0)
step('terminate')

# It can delete neither key pair nor group.
driver.connection.request(driver.path, params={'Action': 'DeleteSecurityGroup', 'GroupName': GROUP})
for name in (KEY, IMPORTED):
    driver.connection.request(driver.path, params={'Action': 'DeleteKeyPair', 'KeyName': name})
node.id = story.UNKNOWN_INSTANCE
refused('InstanceNotFound', driver.destroy_node, node)
refused('SignatureDoesNotMatch', connect('wrong').list_images)
story.done()
