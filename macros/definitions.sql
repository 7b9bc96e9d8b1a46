{#
    Definitions: the columns of audience_attributes that an integration may ask for. A definition is one entry in
    models/exports/audience_attributes.yml, with config.meta.definition; its SQL is made from that entry.
#}

{% macro definition_kinds() -%}
    {{ return([
        'identity', 'consent', 'customer_attribute', 'product', 'product_attribute', 'lifecycle_stage', 'score',
        'score_band', 'channel_affinity', 'score_time'
    ]) }}
{%- endmacro %}


{#
    The definitions of some kinds, in the order of the yml, each with name, data_type, description, kind, attribute (of
    the JSON, the name if the entry names none), product (last_viewed or last_purchased) and namespaces (none: every).
    Names all faulty entries at once.
#}
{% macro declared_definitions(kinds=none) -%}
    {%- set found, faults = [], [] -%}
    {%- for column in audience_columns() -%}
        {%- set entry = column.definition -%}
        {%- if entry is not none -%}
            {%- set definition = {
                'name': column.name,
                'data_type': column.data_type,
                'description': column.description,
                'kind': entry.get('kind'),
                'attribute': entry.get('attribute', column.name),
                'product': entry.get('product'),
                'namespaces': entry.get('namespaces', [])
            } -%}
            {%- do faults.extend(definition_faults(definition, entry)) -%}
            {%- do found.append(definition) if not kinds or definition.kind in kinds -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if faults -%}
        {%- do exceptions.raise_compiler_error(
            'audience_attributes.yml: definitions have faults:\n  ' ~ faults | join('\n  ')
        ) -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}


{# The columns in the yml, each with name, data_type, description and definition (none if it is none). #}
{% macro audience_columns() -%}
    {%- set found = [] -%}
    {%- set node = graph.nodes.get('model.' ~ project_name ~ '.audience_attributes') if execute -%}
    {%- for column in (node.columns.values() if node else []) -%}
        {%- do found.append({
            'name': column.name,
            'data_type': column.data_type,
            'description': (column.description or '') | trim | replace('\n', ' '),
            'definition': column.config.meta.get('definition')
        }) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{% macro definition_faults(definition, entry) -%}
    {%- set faults = [] -%}
    {%- set known = ['kind', 'attribute', 'product', 'namespaces'] -%}
    {%- for key in entry if key not in known -%}
        {%- do faults.append(definition.name ~ ': unknown key ' ~ key ~ '; known: ' ~ known | join(', ')) -%}
    {%- endfor -%}
    {%- if definition.kind not in definition_kinds() -%}
        {%- do faults.append(
            definition.name ~ ': unknown kind ' ~ definition.kind ~ '; known, by macros/definitions.sql: '
            ~ definition_kinds() | join(', ')
        ) -%}
    {%- endif -%}
    {%- if not modules.re.fullmatch('[A-Za-z0-9_ .:-]+', definition.attribute) -%}
        {%- do faults.append(definition.name ~ ': an attribute is letters, digits, space and _.:-') -%}
    {%- endif -%}
    {%- if definition.kind == 'product_attribute' and definition.product not in ['last_viewed', 'last_purchased'] -%}
        {%- do faults.append(definition.name ~ ': product is last_viewed or last_purchased') -%}
    {%- endif -%}
    {{ return(faults + column_faults(definition.name, definition.data_type)) }}
{%- endmacro %}


{# What is wrong with a column that a yml declares and a document has. #}
{% macro column_faults(name, data_type) -%}
    {%- set faults = [] -%}
    {%- if not modules.re.fullmatch('[a-z][a-z0-9_]*', name) -%}
        {%- do faults.append(name ~ ': a name is small letters, digits and _') -%}
    {%- endif -%}
    {%- if not modules.re.fullmatch(type_pattern(), data_type or '') -%}
        {%- do faults.append(name ~ ': data_type is string, bigint, decimal(p,s), boolean, date or timestamp') -%}
    {%- endif -%}
    {{ return(faults) }}
{%- endmacro %}


{# What data scientists score: the names of scores and of channel affinities. #}
{% macro score_names() -%}
    {{ return(declared_definitions(['score', 'channel_affinity']) | map(attribute='name') | list) }}
{%- endmacro %}


{# The value of a definition that is a field of JSON; NULL where it is no attribute of the client. #}
{% macro attribute_value(document, definition, namespace) -%}
    {%- set value = typed(json_field(document, definition.attribute), definition.data_type) -%}
    {%- if definition.namespaces -%}
        case when {{ namespace }} in ({{ dbt_delivery.quoted(definition.namespaces) }}) then {{ value }} end
    {%- else -%}
        {{ value }}
    {%- endif -%}
{%- endmacro %}


{# Whether a field of JSON says something that is not of the definition's type. #}
{% macro is_misfit(document, definition, namespace) -%}
    {{ json_field(document, definition.attribute) }} is not null
    and {{ typed(json_field(document, definition.attribute), definition.data_type) }} is null
    {%- if definition.namespaces %} and {{ namespace }} in ({{ dbt_delivery.quoted(definition.namespaces) }}){% endif -%}
{%- endmacro %}


{% macro type_pattern() -%}
    {{ return('string|bigint|boolean|date|timestamp|decimal[(]([0-9]+), ?([0-9]+)[)]') }}
{%- endmacro %}


{#
    Text as a type; NULL where it is none. Numbers are checked as text, so that no engine rounds where another refuses; zeros
    after the last digit, as in a shop's 129.0000, are no digits.
#}
{% macro typed(text, data_type) -%}
    {%- set digits = modules.re.fullmatch(type_pattern(), data_type) -%}
    {%- if data_type == 'string' -%}
        {{ text }}
    {%- elif data_type == 'bigint' -%}
        {{ try_bigint(text) }}
    {%- elif data_type == 'boolean' -%}
        case {{ code(text) }} when 'true' then true when 'false' then false end
    {%- elif data_type == 'date' -%}
        {{ try_date(text) }}
    {%- elif data_type == 'timestamp' -%}
        {{ try_timestamp(text) }}
    {%- else -%}
        {%- set whole = digits.group(1) | int - digits.group(2) | int -%}
        case
            when {{ matches(trimmed(text), '^-?[0-9]{1,' ~ whole ~ '}([.][0-9]{1,' ~ digits.group(2) ~ '}0{0,18})?$') }}
                then {{ checked_cast(trimmed(text), data_type) }}
        end
    {%- endif -%}
{%- endmacro %}


{# A number as JSON writes it, as a double; NULL for anything else. #}
{% macro try_double(text) -%}
    case
        when {{ matches(trimmed(text), '^-?[0-9]{1,40}([.][0-9]{1,40})?([eE][-+]?[0-9]{1,2})?$') }}
            then {{ checked_cast(trimmed(text), 'double precision') }}
    end
{%- endmacro %}


{# Text as a literal, NULL when there is none. #}
{% macro nullable(text) -%}
    {{ return(dbt_delivery.quoted([text]) if text else 'null') }}
{%- endmacro %}
