"""Where a draft and its feedback go in the input of a Runnable."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_thinktwice import RunnablePrompting, vote
from langchain_thinktwice.prompting import check_revisable, first_step
from pydantic import BaseModel

from thinktwice import UsageError

DRAFT, FEEDBACK = "it is 12", "3 * 4 is not 13"
TURNS = [AIMessage(DRAFT), HumanMessage(FEEDBACK)]


def revised(bound, prompt, draft=DRAFT):
    """What the Runnable is asked after the draft."""
    return RunnablePrompting(bound).revise(prompt, draft, FEEDBACK)


def test_a_text_to_a_chat_model_becomes_a_conversation(scripted):
    """The draft is the model's turn, the feedback the user's."""
    assert revised(scripted("x"), "3 * 4?") == [HumanMessage("3 * 4?"), *TURNS]


def test_a_text_to_a_bound_chat_model_becomes_a_conversation(scripted):
    """What is bound to it makes it no chain."""
    bound = scripted("x").bind(stop=["."]).with_config(tags=["t"])
    assert revised(bound, "3 * 4?") == [HumanMessage("3 * 4?"), *TURNS]


def test_a_text_to_a_chain_gets_both_behind_it(scripted):
    """The chain still takes a text."""
    chain = ChatPromptTemplate.from_template("{q}") | scripted("x")
    asked = revised(chain, "3 * 4?")
    assert asked.startswith("3 * 4?")
    assert asked.index(DRAFT) < asked.index(FEEDBACK)
    assert DRAFT in chain.first.invoke(asked).to_messages()[0].content


@pytest.mark.parametrize(
    "given",
    [
        [SystemMessage("s"), HumanMessage("q")],
        [("system", "s"), ("user", "q")],
        [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
    ],
)
def test_messages_of_any_form_go_on(scripted, given):
    """Those that were there stay as they are."""
    assert revised(scripted("x"), given) == [*given, *TURNS]


@pytest.mark.parametrize(
    "value", [ChatPromptValue(messages=[HumanMessage("q")]), StringPromptValue(text="q")]
)
def test_a_prompt_value_stays_one(scripted, value):
    """A text becomes messages in it."""
    assert revised(scripted("x"), value) == ChatPromptValue(messages=[HumanMessage("q"), *TURNS])


def test_a_single_message_becomes_a_conversation(scripted):
    """A model takes one message as well."""
    assert revised(scripted("x"), HumanMessage("q")) == [HumanMessage("q"), *TURNS]


def test_a_placeholder_named_feedback_gets_the_turns(scripted):
    """It is optional, so that the draft needs none."""
    template = ChatPromptTemplate.from_messages(
        [("user", "{q}"), MessagesPlaceholder("feedback", optional=True)]
    )
    asked = revised(template | scripted("x"), {"q": "3 * 4?"})
    assert asked == {"q": "3 * 4?", "feedback": TURNS}
    assert template.invoke(asked).to_messages() == [HumanMessage("3 * 4?"), *TURNS]


def test_a_placeholder_at_the_end_gets_the_turns(scripted):
    """Behind those that it has."""
    template = ChatPromptTemplate.from_messages(
        [("system", "be brief"), MessagesPlaceholder("conversation")]
    )
    asked = revised(template | scripted("x"), {"conversation": [HumanMessage("q")]})
    assert asked == {"conversation": [HumanMessage("q"), *TURNS]}


def test_variables_for_draft_and_feedback_are_filled(scripted):
    """With defaults, so that the draft needs none."""
    template = ChatPromptTemplate.from_template("{q} {draft} {feedback}")
    template = template.partial(draft="", feedback="")
    asked = revised(template | scripted("x"), {"q": "q"})
    assert asked == {"q": "q", "draft": DRAFT, "feedback": FEEDBACK}
    assert template.invoke({"q": "q"}).to_string() == "Human: q  "


def test_feedback_alone_holds_the_draft_too(scripted):
    """A model that is not shown its draft cannot mend it."""
    template = ChatPromptTemplate.from_template("{q} {feedback}").partial(feedback="")
    asked = revised(template | scripted("x"), {"q": "q"})
    assert asked["feedback"] == f"Draft:\n{DRAFT}\n\nFeedback:\n{FEEDBACK}"


def test_without_a_draft_there_is_feedback_alone(scripted):
    """The next attempt of reflexion starts from the prompt."""
    prompting = RunnablePrompting(scripted("x"))
    assert prompting.revise("q", None, FEEDBACK) == [HumanMessage("q"), HumanMessage(FEEDBACK)]
    filled = prompting.revise({"q": "q", "feedback": ""}, None, FEEDBACK)
    assert filled == {"q": "q", "feedback": FEEDBACK}


def test_a_key_that_the_caller_gives_is_a_place():
    """Behind a function nobody sees what is read."""
    asked = revised(RunnableLambda(str), {"q": "q", "feedback": ""})
    assert asked == {"q": "q", "feedback": f"Draft:\n{DRAFT}\n\nFeedback:\n{FEEDBACK}"}


def test_the_state_of_a_graph_gets_the_turns():
    """A dict with messages is one."""
    state = {"messages": [HumanMessage("q")], "other": 1}
    assert revised(RunnableLambda(str), state) == {
        "messages": [HumanMessage("q"), *TURNS],
        "other": 1,
    }


def test_a_text_for_the_only_variable_gets_both_behind_it(scripted):
    """As a text to the chain does."""
    chain = ChatPromptTemplate.from_template("{q}") | scripted("x")
    assert revised(chain, {"q": "3 * 4?"}) == {"q": revised(chain, "3 * 4?")}
    prompting = RunnablePrompting(chain)
    assert prompting.extend({"q": "3 * 4? "}, "it is") == {"q": "3 * 4? it is"}
    assert prompting.revise({"q": "q", "user": 7}, None, FEEDBACK)["user"] == 7


@pytest.mark.parametrize(
    "given",
    [{"q": 3}, {"q": [1]}, {"q": 3, "feedback": ""}, {"q": 3, "messages": [HumanMessage("m")]}],
    ids=str,
)
def test_a_key_that_the_template_does_not_read_is_no_place(scripted, given):
    """What is written there would never be seen."""
    with pytest.raises(UsageError, match="no place for feedback"):
        revised(ChatPromptTemplate.from_template("{q}") | scripted("x"), given)


def test_a_dict_without_a_place_is_refused_with_the_ways():
    """Before anybody pays for a repair that the model would not see."""
    with pytest.raises(UsageError, match=r"MessagesPlaceholder\('feedback', optional=True\)"):
        revised(RunnableLambda(str), {"q": "q"})


def test_an_input_that_is_nothing_of_the_kind_is_refused():
    """The message names its type and not its value."""
    with pytest.raises(UsageError, match="int"):
        revised(RunnableLambda(str), 3)


def test_a_chain_without_a_place_is_refused_as_it_is_wrapped(scripted):
    """Two variables cannot come from a text."""
    chain = ChatPromptTemplate.from_template("{a} {b}") | scripted("x") | StrOutputParser()
    with pytest.raises(UsageError, match="no place for feedback"):
        check_revisable(chain)


@pytest.mark.parametrize(
    "template",
    [
        ChatPromptTemplate.from_template("{a}"),
        ChatPromptTemplate.from_template("{a} {b} {feedback}").partial(feedback=""),
        ChatPromptTemplate.from_messages([("user", "{a} {b}"), MessagesPlaceholder("history")]),
    ],
)
def test_a_chain_with_a_place_is_not_refused(scripted, template):
    """A text, a variable or a placeholder."""
    check_revisable(template | scripted("x"))


def test_a_wrapper_a_binding_and_a_fallback_are_looked_through(scripted):
    """The first step is what reads the input."""
    template = ChatPromptTemplate.from_template("{a}")
    chain = template | scripted("x")
    assert first_step(chain.with_config(tags=["t"]).with_fallbacks([chain])) is template
    assert first_step(vote(chain, 3)) is template


def test_steps_that_only_add_keys_are_looked_through(scripted):
    """A retriever's documents come beside the question; the template reads both."""
    template = ChatPromptTemplate.from_messages(
        [("user", "{q} {documents}"), MessagesPlaceholder("feedback", optional=True)]
    )
    found = RunnablePassthrough.assign(documents=lambda given: ["a"])
    chain = RunnablePassthrough() | found | template | scripted("x")
    assert first_step(chain) is template
    check_revisable(chain)
    assert revised(chain, {"q": "q"}) == {"q": "q", "feedback": TURNS}
    with pytest.raises(UsageError, match="no place for feedback"):
        check_revisable(found | ChatPromptTemplate.from_template("{q} {documents}") | scripted("x"))
    alone = found | found
    assert first_step(alone) is found


def test_a_draft_of_tool_calls_is_shown_as_data(scripted):
    """A turn with calls that nobody answered is refused by providers."""
    draft = AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1}, "id": "call_1"}])
    _, turn, _ = revised(scripted("x"), "q", draft)
    assert turn == AIMessage('[["add",{"a":1}]]')
    assert not turn.tool_calls


def test_a_parsed_draft_is_shown_as_data(scripted):
    """As a judge sees it."""

    class Person(BaseModel):
        name: str

    _, turn, _ = revised(scripted("x"), "q", Person(name="Ada"))
    assert turn.content == '{"name":"Ada"}'


def test_a_partial_answer_starts_the_models_turn(scripted):
    """Nothing changes without one."""
    prompting = RunnablePrompting(scripted("x"))
    assert prompting.extend("q", "so") == [HumanMessage("q"), AIMessage("so")]
    assert prompting.extend("q", "") == "q"
    assert RunnablePrompting(RunnableLambda(str)).extend("q ", "so") == "q so"
    extended = prompting.extend({"messages": [HumanMessage("q")]}, "so")
    assert extended == {"messages": [HumanMessage("q"), AIMessage("so")]}
