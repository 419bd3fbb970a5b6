"""Data dictionaries: the generated tables, and a user's XML with everything that may be wrong with it."""
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from fix import dictionary
from fix.dictionary import DictionaryError, Member, generate
from fix.dictionary.reader import load, loads

ROOT = pathlib.Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "dictionaries"
needs_xml = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/dictionaries is not there")

SMALL = """<fix type='FIX' major='4' minor='4'>
 <header><field name='BeginString' required='Y'/></header>
 <messages>
  <message name='Quote' msgtype='S' msgcat='app'>
   <field name='Price' required='Y'/>
   <component name='Parties' required='N'/>
  </message>
 </messages>
 <trailer><field name='CheckSum' required='Y'/></trailer>
 <components>
  <component name='Parties'>
   <group name='NoPartyIDs' required='Y'><field name='PartyID' required='Y'/></group>
  </component>
 </components>
 <fields>
  <field number='8' name='BeginString' type='STRING'/>
  <field number='10' name='CheckSum' type='STRING'/>
  <field number='44' name='Price' type='PRICE'/>
  <field number='453' name='NoPartyIDs' type='NUMINGROUP'/>
  <field number='448' name='PartyID' type='STRING'/>
  <field number='5001' name='Venue' type='CHAR'><value enum='L' description='LIT'/></field>
 </fields>
</fix>
"""


@needs_xml
def test_generated_files_are_current():
    assert generate.main([str(SHARED), "--check"]) == 0


@needs_xml
def test_a_change_of_the_xml_is_noticed(tmp_path, capsys):
    for xml in SHARED.glob("*.xml"):
        text = xml.read_text()
        if xml.name == "FIX42.xml":
            text = text.replace("<field number='44' name='Price' type='PRICE' />",
                                "<field number='44' name='Price' type='INT' />")
        (tmp_path / xml.name).write_text(text)
    assert generate.main([str(tmp_path), "--check"]) == 1
    assert capsys.readouterr().out == "differs: fix/dictionary/fix42.py\n"


@needs_xml
@pytest.mark.parametrize("version", list(dictionary.VERSIONS))
def test_tables_hold_what_the_xml_holds(version):
    """Against ElementTree, which shares no code with the loader: fields, values, message members at the top."""
    root = ElementTree.parse(SHARED / f"{dictionary.VERSIONS[version][0].upper()}.xml").getroot()
    d = dictionary.standard(version)
    for f in root.find("fields"):
        ours = d.fields[int(f.get("number"))]
        assert (ours.name, ours.type) == (f.get("name"), f.get("type"))
        assert ours.values == {v.get("enum"): v.get("description") for v in f}
    assert len(d.fields) == len(root.find("fields"))
    for m in root.find("messages"):
        ours = d.messages[m.get("msgtype")]
        assert (ours.name, ours.admin) == (m.get("name"), m.get("msgcat") == "admin")
        assert [(x.component or d.fields[x.tag].name, x.required) for x in ours.members] == \
            [(x.get("name"), x.get("required") == "Y") for x in m]


def test_components_and_groups_are_put_in_place():
    d = dictionary.standard("FIX44")
    members = {m.tag: m for m in d.members("D")}
    assert members[11].required and members[55].required is False and members[54].required
    parties = d.group("D", 453)
    assert [m.tag for m in parties.members] == [448, 447, 452, 802]
    assert [m.tag for m in d.group("D", 802).members] == [523, 803]
    assert d.group("D", 268) is None and d.group("X", 268).members[0] == Member(279, True)
    assert d.group("0", 627).members[0].tag == 628          # NoHops of the header
    assert d is dictionary.standard("6") is dictionary.standard("fix.4.4")


def test_a_members_requirement_ends_where_its_component_is_optional():
    d = loads(SMALL)
    assert d.members("S") == (Member(44, True), Member(453, False, (Member(448, False),)))


def test_data_fields_and_their_lengths():
    pairs = dictionary.standard("FIX44").data_pairs()
    assert pairs[95] == 96 and pairs[212] == 213 and pairs[93] == 89 and pairs[354] == 355
    assert dictionary.standard("FIX50SP2").data_pairs()[41873] == 41874


def test_custom_fields_and_messages(tmp_path):
    path = tmp_path / "venue.xml"
    path.write_text(SMALL)
    d = load(path)
    d.add_field(5002, "Desk", "INT")
    d.add_message("U1", "Desks", [Member(5002, True)])
    d.add_member("U1", 5001)
    assert d.members("U1") == (Member(5002, True), Member(5001, False))
    with pytest.raises(DictionaryError, match="field name Price is used for 44 and 6000"):
        d.add_field(6000, "Price", "PRICE")
    assert dictionary.Dictionary.from_table(d.table()).table() == d.table()


def test_unknown_version_names_the_known_ones():
    with pytest.raises(DictionaryError, match=r"'FIX.6.0' is not one of FIX.4.0, "):
        dictionary.standard("FIX.6.0")


WRONG = [
    ("<!DOCTYPE fix [<!ENTITY a 'aaaa'>]>\n" + SMALL, "v.xml:1: DOCTYPE and entities are refused"),
    ("<!DOCTYPE fix SYSTEM 'http://x/y.dtd'>\n" + SMALL, "v.xml:1: DOCTYPE and entities are refused"),
    (SMALL[:-8], "v.xml:22: not well-formed XML: no element found"),
    (SMALL.replace("'44' name", "'forty' name"), "v.xml:18: <field> number is 'forty', must be a number"),
    (SMALL.replace("number='44'", "number='0'"), "v.xml:18: field Price: tag is 0, must be 1 to 2147483647"),
    (SMALL.replace("number='44'", "number='10'"), "v.xml:18: tag 10 is CheckSum and Price"),
    (SMALL.replace("'PRICE'", "'PRIZE'"), "v.xml:18: field Price(44): type 'PRIZE' is not known"),
    (SMALL.replace("name='Price' required='Y'", "name='Prize' required='Y'"),
     "v.xml:5: field Prize is not defined in <fields>"),
    (SMALL.replace("name='Price' required='Y'", "name='Price' requird='Y'"),
     "v.xml:5: <field> has no attribute 'requird'"),
    (SMALL.replace("name='Price' required='Y'", "name='Price' required='1'"),
     "v.xml:5: required is '1', must be Y or N"),
    (SMALL.replace("<component name='Parties' required='N'/>", "<component name='Party' required='N'/>"),
     "v.xml:6: component Party is not defined"),
    (SMALL.replace("<field name='PartyID' required='Y'/></group>", "<component name='Parties'/></group>"),
     "v.xml:4: message Quote: component Parties contains itself"),
    (SMALL.replace("<field name='PartyID' required='Y'/></group>", "</group>"),
     "v.xml:12: group NoPartyIDs has no members"),
    (SMALL.replace("<trailer><field name='CheckSum' required='Y'/></trailer>", ""), "v.xml:1: <fix> has no <trailer>"),
    (SMALL.replace("major='4'", ""), "v.xml:1: <fix> needs major"),
    (SMALL.replace("msgcat='app'", "msgcat='none'"), "v.xml:4: msgcat is 'none', must be app or admin"),
    (SMALL.replace("<messages>", "<messages><field name='Price'/>"), "v.xml:3: <field> does not belong in <messages>"),
    (SMALL.replace("enum='L'", "enum='&#10;'"), r"v.xml:21: <value> enum '\n' has a control character in it"),
    ("", "v.xml:1: not well-formed XML: no element found"),
    ("\x00\x01", "v.xml:1: not well-formed XML: not well-formed (invalid token)"),
]


@pytest.mark.parametrize("text, message", WRONG, ids=range(len(WRONG)))
def test_wrong_dictionaries_say_file_line_and_what(text, message):
    with pytest.raises(DictionaryError) as error:
        loads(text, "v.xml")
    assert str(error.value) == message


def test_a_dictionary_bomb_of_components_is_refused():
    doubling = "".join(f"<component name='C{i}'><component name='C{i - 1}'/><component name='C{i - 1}'/></component>"
                       for i in range(1, 30))
    first = "<component name='C0'><field name='Price'/></component>"
    text = SMALL.replace("<components>", "<components>" + first + doubling)
    text = text.replace("<component name='Parties' required='N'/>", "<component name='C29'/>")
    with pytest.raises(DictionaryError, match="message Quote: expands to more than 65536 fields"):
        loads(text)
    deep = SMALL.replace("<field name='PartyID' required='Y'/>",
                         "<group name='NoPartyIDs'>" * 99 + "<field name='Price'/>" + "</group>" * 99)
    with pytest.raises(DictionaryError, match="elements are nested more than 32 deep"):
        loads(deep)


def test_equal_groups_are_one_object_and_hash_alike():
    d = dictionary.standard("FIX.4.4")
    parties = [next(m for m in d.members(t) if m.tag == 453) for t in ("D", "G")]
    assert parties[0] is parties[1] and hash(parties[0]) == hash(Member(453, parties[0].required, parties[0].members))
    assert Member(453, True) != Member(453, False) and Member(1, True) == Member(1, True)


def test_a_second_dictionary_is_loaded_as_the_first_was(tmp_path):
    (tmp_path / "V.xml").write_text(SMALL)
    assert dictionary.load(tmp_path / "V.xml").fields.keys() == dictionary.load(tmp_path / "V.xml").fields.keys()


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DictionaryError, match="No such file"):
        load(tmp_path / "none.xml")
    with pytest.raises(DictionaryError, match="Is a directory"):
        load(tmp_path)


def test_tags_and_enums_by_name():
    from fix import enums, tags
    assert tags.Price == 44 and tags.LastQty == tags.LastShares == 32
    assert enums.Side.BUY == "1" and enums.MsgType.ExecutionReport == "8" and enums.OrdType.LIMIT == "2"


def test_importing_fix_reads_no_table_and_no_numpy():
    code = "import fix, sys; print([m for m in sys.modules if 'numpy' in m or m.startswith('fix.dictionary.fix') " \
           "or m in ('fix.enums', 'fix.tags')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True, timeout=300)
    assert done.stdout == "[]\n"
