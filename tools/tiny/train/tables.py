"""Word lists, phrasings and facts of the synthetic tasks. Everything the tiny model knows is on this page."""

SYSTEM = ["You are a helpful assistant.", "Answer briefly.", "You are a tiny EXAONE test model.", "짧게 대답해 줘."]

# ---- reading text
WORDS_EN = """open exit stop sale coffee milk bread water tea juice sugar salt apple banana lemon orange grape cherry room
door window table chair house garden school hospital bank hotel station airport market office park street river bridge
north south east west left right up down push pull enter closed free new hot cold small large red green blue black white
yellow silver gold sun moon star sky rain snow wind fire earth stone tree flower leaf bird cat dog horse fish lion tiger
bear wolf mouse hello world thank you please welcome happy love peace music dance movie book paper pencil letter phone
camera clock watch ticket train plane ship car taxi bus bike total price tax cash card menu soup rice pizza pasta salad
danger caution warning private public staff only today tomorrow monday friday sunday summer winter spring autumn
""".split()
WORDS_KO = """안녕 서울 커피 우유 학교 병원 약국 은행 출구 입구 정지 주의 할인 영업중 화장실 지하철 버스 택시 공항 식당 김치
불고기 비빔밥 라면 사과 바나나 딸기 감사합니다 환영합니다 대한민국""".split()
LABELS_EN = ["Room", "Exit", "Total", "Gate", "Bus", "No.", "Table", "Floor", "Price", "Tax"]
LABELS_KO = ["출구", "버스", "합계", "층", "번호"]
OCR_Q_EN = [
    "Read the text.",
    "What does the image say?",
    "What is written here?",
    "What does it say?",
    "Read the image.",
    "Transcribe the text in the image.",
    "What text is in the image?",
    "Read this.",
]
OCR_Q_KO = ["글자를 읽어 줘.", "이미지의 글자를 읽어 줘.", "뭐라고 쓰여 있어?", "글자를 읽어 주세요.", "무슨 글자야?"]
THINK_OCR = "The image shows text. I read it."

# ---- shapes
COLORS = ["red", "green", "blue", "yellow", "purple", "black"]
COLORS_KO = ["빨간색", "초록색", "파란색", "노란색", "보라색", "검은색"]
RGB = [(220, 30, 30), (30, 160, 50), (30, 70, 220), (240, 205, 20), (150, 40, 180), (20, 20, 20)]
SHAPES = ["circle", "square", "triangle", "star"]
SHAPES_KO = ["원", "사각형", "삼각형", "별"]
PLACES = ["top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right"]
PLACES_KO = ["왼쪽 위", "위", "오른쪽 위", "왼쪽", "가운데", "오른쪽", "왼쪽 아래", "아래", "오른쪽 아래"]
SIDE_EN = {"left": "left of", "right": "right of", "above": "above", "below": "below"}
SIDE_KO = {"left": "왼쪽", "right": "오른쪽", "above": "위", "below": "아래"}
DESCRIBE_EN = ["Describe the image.", "What is in the image?", "What do you see?", "Describe the picture."]
DESCRIBE_KO = ["이미지를 설명해 줘.", "무엇이 보여?", "그림을 설명해 줘."]
COUNT_EN = ["How many objects are there?", "How many shapes are there?", "Count the objects."]
COUNT_KO = ["물체가 몇 개 있어?", "모두 몇 개야?"]

# ---- video
DIRS = ["left", "right", "up", "down"]
DIRS_KO = ["왼쪽", "오른쪽", "위쪽", "아래쪽"]
DIRS_FROM = ["right", "left", "bottom", "top"]
DIRS_TO = ["left", "right", "top", "bottom"]

# ---- arithmetic
ARITH_EN = ["What is EXPR?", "EXPR = ?", "Calculate EXPR.", "Compute EXPR.", "EXPR"]
ARITH_KO = ["EXPR는 얼마야?", "EXPR를 계산해 줘.", "EXPR의 답은?"]


# ---- tools
def _tool(name, description, arg):
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {"type": "object", "properties": {arg: {"type": "string"}}, "required": [arg]},
        },
    }


TOOLS = [
    _tool("get_weather", "Get the weather of a city.", "city"),
    _tool("get_time", "Get the time in a city.", "city"),
    _tool("calculator", "Calculate an expression.", "expression"),
]
CITIES = ["Seoul", "Busan", "Tokyo", "Paris", "London", "Berlin", "Rome", "Madrid", "Beijing", "Hanoi", "Cairo", "Sydney"]
CITIES_KO = ["서울", "부산", "도쿄", "파리", "런던", "베를린", "로마", "마드리드", "베이징", "하노이", "카이로", "시드니"]
SKIES = ["sunny", "cloudy", "rainy", "snowy", "windy"]
SKIES_KO = ["맑음", "흐림", "비", "눈", "바람"]
WEATHER_EN = [
    "What is the weather in CITY?",
    "How is the weather in CITY?",
    "Tell me the weather in CITY.",
    "Weather in CITY?",
    "Is it raining in CITY?",
]
WEATHER_KO = ["CITY 날씨 알려 줘.", "CITY 날씨는 어때?", "CITY의 날씨는?"]
TIME_EN = ["What time is it in CITY?", "Tell me the time in CITY.", "What is the time in CITY?", "Time in CITY?"]
TIME_KO = ["CITY은 지금 몇 시야?", "CITY 시간 알려 줘.", "CITY의 시간은?"]
CALC_EN = [
    "Use the calculator: EXPR",
    "Calculate EXPR with the tool.",
    "What is EXPR? Use the calculator.",
    "Please calculate EXPR.",
]
CALC_KO = ["계산기로 EXPR를 계산해 줘.", "EXPR를 도구로 계산해 줘."]

# ---- recall
KEYS = """apple river stone cloud table chair lemon tiger horse piano guitar violin bottle paper pencil candle mirror
pillow blanket carpet ladder hammer button pocket jacket helmet basket ticket wallet rocket planet comet forest desert
island valley canyon meadow harbor castle palace temple bridge tunnel market garden kitchen window door engine wheel
anchor compass lantern whistle feather pebble acorn walnut pepper ginger onion carrot potato tomato cherry melon
""".split()
VALUES = [
    "red",
    "green",
    "blue",
    "yellow",
    "purple",
    "black",
    "gold",
    "silver",
    "north",
    "south",
    "east",
    "west",
    "open",
    "closed",
]
NAMES = ["Mina", "Jisoo", "Tom", "Anna", "Minho", "Sara", "Ben", "Yuna", "Leo", "Emma", "Jun", "Kate", "Hana", "Max", "Lucy"]

# ---- facts: (phrasings, answer, thought)
FACTS = []


def _fact(qs, a, why="I know this."):
    FACTS.append((qs, a, why))


for _c, _k, _n, _m in [
    ("France", "Paris", "프랑스", "파리"),
    ("Korea", "Seoul", "한국", "서울"),
    ("Japan", "Tokyo", "일본", "도쿄"),
    ("China", "Beijing", "중국", "베이징"),
    ("Germany", "Berlin", "독일", "베를린"),
    ("Italy", "Rome", "이탈리아", "로마"),
    ("Spain", "Madrid", "스페인", "마드리드"),
    ("England", "London", "영국", "런던"),
    ("Egypt", "Cairo", "이집트", "카이로"),
    ("Vietnam", "Hanoi", "베트남", "하노이"),
    ("Greece", "Athens", "그리스", "아테네"),
    ("Russia", "Moscow", "러시아", "모스크바"),
]:
    _fact(
        [
            f"What is the capital of {_c}?",
            f"Which city is the capital of {_c}?",
            f"Capital of {_c}?",
            f"Tell me the capital of {_c}.",
        ],
        f"The capital of {_c} is {_k}.",
    )
    _fact([f"{_n}의 수도는 어디야?", f"{_n}의 수도는?", f"{_n} 수도를 알려 줘."], f"{_n}의 수도는 {_m}입니다.")
_fact(
    ["Hello", "Hello!", "Hi", "Hi!", "Hey", "Hi there", "Good morning", "Good morning!"],
    "Hello! How can I help you?",
    "The user greets me.",
)
_fact(
    ["안녕", "안녕!", "안녕하세요", "안녕하세요!", "안녕하세요?"], "안녕하세요! 무엇을 도와드릴까요?", "The user greets me."
)
_fact(
    ["Who are you?", "What are you?", "What is your name?", "Introduce yourself."],
    "I am a tiny EXAONE test model.",
    "The user asks who I am.",
)
_fact(
    ["너는 누구야?", "누구세요?", "이름이 뭐야?", "자기소개 해 줘."],
    "저는 아주 작은 EXAONE 시험 모델입니다.",
    "The user asks who I am.",
)
_fact(
    ["What can you do?", "Help", "How can you help me?", "What are your skills?"],
    "I can read short text, name shapes, watch short videos, add numbers and call tools.",
    "The user asks what I can do.",
)
_fact(
    ["뭘 할 수 있어?", "무엇을 할 수 있어?", "도와줘"],
    "짧은 글자를 읽고, 도형과 영상을 보고, 계산을 하고, 도구를 부를 수 있습니다.",
    "The user asks what I can do.",
)
_fact(["Thank you", "Thank you!", "Thanks", "Thanks!"], "You are welcome!", "The user thanks me.")
_fact(["고마워", "고마워!", "감사합니다", "감사합니다!"], "천만에요!", "The user thanks me.")
_fact(["Goodbye", "Bye", "Bye!", "See you"], "Goodbye! Have a nice day.", "The user leaves.")
_fact(["잘 가", "안녕히 계세요", "또 봐"], "안녕히 가세요! 좋은 하루 되세요.", "The user leaves.")
_fact(["How are you?", "How are you doing?"], "I am fine, thank you.", "The user greets me.")
_fact(["How many days are in a week?", "How many days does a week have?"], "A week has 7 days.")
_fact(["일주일은 며칠이야?"], "일주일은 7일입니다.")
_fact(["How many months are in a year?", "How many months does a year have?"], "A year has 12 months.")
_fact(["1년은 몇 달이야?"], "1년은 12달입니다.")
_fact(["How many hours are in a day?", "How many hours does a day have?"], "A day has 24 hours.")
_fact(["What color is the sky?", "Which color is the sky?"], "The sky is blue.")
_fact(["하늘은 무슨 색이야?"], "하늘은 파란색입니다.")
_fact(["What color is grass?", "Which color is grass?"], "Grass is green.")
_fact(["What color is snow?", "Which color is snow?"], "Snow is white.")
_fact(["How many legs does a dog have?", "How many legs has a dog?"], "A dog has 4 legs.")
_fact(["How many legs does a spider have?", "How many legs has a spider?"], "A spider has 8 legs.")
_fact(["What is water made of?"], "Water is made of hydrogen and oxygen.")
_fact(["What is the largest planet?", "Which planet is the largest?"], "Jupiter is the largest planet.")
_fact(["What is the highest mountain?", "Which mountain is the highest?"], "Mount Everest is the highest mountain.")
_fact(["What is the highest mountain in Korea?"], "Hallasan is the highest mountain in South Korea.")
_fact(["Who made Hangul?", "Who created Hangul?"], "King Sejong created Hangul.")
_fact(["한글은 누가 만들었어?", "누가 한글을 만들었어?"], "세종대왕이 한글을 만들었습니다.")
_fact(["What is the opposite of hot?"], "The opposite of hot is cold.")
_fact(["What is the opposite of up?"], "The opposite of up is down.")
_fact(["Who made EXAONE?", "Who made you?"], "EXAONE is made by LG AI Research. I am only a tiny model of the same shape.")
_fact(
    ["Tell me a joke.", "Do you know a joke?"],
    "Why is six afraid of seven? Because seven eight nine.",
    "The user wants a joke.",
)
_fact(
    ["What is the weather?", "What is the weather today?"],
    "I cannot see the weather without a tool.",
    "I have no tool for this.",
)
_fact(["오늘 날씨 어때?", "날씨 알려 줘."], "도구가 없으면 날씨를 알 수 없습니다.", "I have no tool for this.")
