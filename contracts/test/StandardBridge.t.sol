// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {L1StandardBridge} from "../src/l1/L1StandardBridge.sol";
import {L2CrossDomainMessenger} from "../src/l2/L2CrossDomainMessenger.sol";
import {L2StandardBridge} from "../src/l2/L2StandardBridge.sol";
import {L2ToL1MessagePasser} from "../src/l2/L2ToL1MessagePasser.sol";
import {OptimismMintableERC20Factory} from "../src/l2/OptimismMintableERC20Factory.sol";
import {AddressAlias} from "../src/universal/AddressAlias.sol";
import {Hashing} from "../src/universal/Hashing.sol";
import {OptimismMintableERC20} from "../src/universal/OptimismMintableERC20.sol";
import {Predeploys} from "../src/universal/Predeploys.sol";
import {StandardBridge} from "../src/universal/StandardBridge.sol";
import {Types} from "../src/universal/Types.sol";
import {DeployedCluster} from "./SheafTest.sol";
import {Vm} from "./Vm.sol";

contract Token is ERC20("Token", "TKN") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @notice Keeps one percent of each transfer.
contract FeeToken is ERC20("Fee", "FEE") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (from != address(0) && to != address(0)) super._update(to, address(0), amount / 100);
    }
}

/// @notice Calls the bridge again while it is being transferred.
contract HookToken is ERC20("Hook", "HOOK") {
    StandardBridge private immutable BRIDGE;
    bool private _armed;

    constructor(StandardBridge bridge) {
        BRIDGE = bridge;
        _mint(address(this), 1_000);
        _approve(address(this), address(bridge), type(uint256).max);
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
        _armed = true;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (_armed && to == address(BRIDGE)) {
            _armed = false;
            BRIDGE.bridgeERC20To(address(this), address(1), address(this), 5, 100_000, "");
        }
        super._update(from, to, amount);
    }
}

contract StandardBridgeTest is DeployedCluster {
    address private alice = named("alice");
    Token private token;
    OptimismMintableERC20 private l2Token;
    L2StandardBridge private l2Bridge;
    L2CrossDomainMessenger private l2Messenger;

    /// @dev Both layers live in one EVM here: L2's contracts at their predeploy addresses.
    function setUp() public {
        startCluster();
        vm.deal(alice, 1_000 ether);
        token = new Token();
        token.mint(alice, 1_000);
        vm.etch(Predeploys.L2_CROSS_DOMAIN_MESSENGER, address(new L2CrossDomainMessenger(address(messenger))).code);
        vm.etch(Predeploys.L2_STANDARD_BRIDGE, address(new L2StandardBridge(address(bridge))).code);
        vm.etch(Predeploys.L2_TO_L1_MESSAGE_PASSER, address(new L2ToL1MessagePasser()).code);
        vm.etch(Predeploys.OPTIMISM_MINTABLE_ERC20_FACTORY, address(new OptimismMintableERC20Factory()).code);
        l2Bridge = L2StandardBridge(payable(Predeploys.L2_STANDARD_BRIDGE));
        l2Messenger = L2CrossDomainMessenger(Predeploys.L2_CROSS_DOMAIN_MESSENGER);
        l2Token = OptimismMintableERC20(
            OptimismMintableERC20Factory(Predeploys.OPTIMISM_MINTABLE_ERC20_FACTORY).createOptimismMintableERC20(
                address(token), "Token on L2", "TKN2"
            )
        );
    }

    /// @dev Executes the deposits among the logs recorded since the last call, as L2 would.
    function executeDeposits() private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(portal)) continue;
            bytes memory opaque = abi.decode(logs[i].data, (bytes));
            (uint256 mint, uint256 value) = abi.decode(opaque, (uint256, uint256));
            bytes memory data = new bytes(opaque.length - 73);
            for (uint256 k = 0; k < data.length; ++k) data[k] = opaque[k + 73];
            address from = address(uint160(uint256(logs[i].topics[1])));
            vm.deal(from, from.balance + mint);
            vm.prank(from);
            (bool ok,) = address(uint160(uint256(logs[i].topics[2]))).call{value: value}(data);
            vm.assertTrue(ok, "deposit executes");
        }
    }

    /// @dev Proves and finalizes the withdrawals among the logs recorded since the last call.
    function finalizeWithdrawals() private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != L2ToL1MessagePasser.MessagePassed.selector) continue;
            (uint256 value, uint256 gasLimit, bytes memory data, bytes32 h) =
                abi.decode(logs[i].data, (uint256, uint256, bytes, bytes32));
            Types.WithdrawalTransaction memory w = Types.WithdrawalTransaction({
                nonce: uint256(logs[i].topics[1]),
                sender: address(uint160(uint256(logs[i].topics[2]))),
                target: address(uint160(uint256(logs[i].topics[3]))),
                value: value,
                gasLimit: gasLimit,
                data: data
            });
            vm.assertEq(Hashing.hashWithdrawal(w), h);
            mature(w);
            portal.finalizeWithdrawalTransaction(w);
        }
    }

    function depositTokens(uint256 amount) private {
        vm.recordLogs();
        vm.startPrank(alice, alice);
        token.approve(address(bridge), amount);
        vm.expectEmit(true, true, true, true, address(bridge));
        emit L1StandardBridge.ERC20DepositInitiated(address(token), address(l2Token), alice, alice, amount, "note");
        bridge.depositERC20(address(token), address(l2Token), amount, 200_000, "note");
        vm.stopPrank();
        executeDeposits();
    }

    function test_etherGoesThereAndBack() public {
        vm.recordLogs();
        vm.prank(alice, alice);
        bridge.depositETH{value: 5 ether}(100_000, "");
        vm.assertEq(address(portal).balance, 5 ether);
        vm.assertEq(alice.balance, 995 ether);
        executeDeposits();
        vm.assertEq(alice.balance, 1_000 ether);

        vm.recordLogs();
        vm.prank(alice, alice);
        l2Bridge.withdraw{value: 2 ether}(Predeploys.LEGACY_ERC20_ETH, 2 ether, 100_000, "");
        finalizeWithdrawals();
        vm.assertEq(address(portal).balance, 3 ether);
        vm.assertEq(alice.balance, 1_000 ether);
    }

    function test_sendingEtherBridgesIt() public {
        vm.recordLogs();
        vm.prank(alice, alice);
        (bool ok,) = address(bridge).call{value: 1 ether}("");
        vm.assertTrue(ok);
        executeDeposits();
        vm.assertEq(alice.balance, 1_000 ether);
        vm.recordLogs();
        vm.prank(alice, alice);
        (ok,) = address(l2Bridge).call{value: 1 ether}("");
        vm.assertTrue(ok);
        finalizeWithdrawals();
        vm.assertEq(address(portal).balance, 0);
    }

    function test_tokensGoThereAndBack() public {
        depositTokens(400);
        vm.assertEq(token.balanceOf(address(bridge)), 400);
        vm.assertEq(bridge.deposits(address(token), address(l2Token)), 400);
        vm.assertEq(l2Token.balanceOf(alice), 400);
        vm.assertEq(l2Token.totalSupply(), 400);

        vm.recordLogs();
        vm.prank(alice, alice);
        l2Bridge.withdraw(address(l2Token), 150, 200_000, "");
        vm.assertEq(l2Token.totalSupply(), 250);
        finalizeWithdrawals();
        vm.assertEq(token.balanceOf(alice), 750);
        vm.assertEq(bridge.deposits(address(token), address(l2Token)), 250);
    }

    function test_toAnotherRecipient() public {
        address bob = named("bob");
        vm.recordLogs();
        vm.startPrank(alice);
        token.approve(address(bridge), 100);
        bridge.bridgeERC20To(address(token), address(l2Token), bob, 100, 200_000, "");
        bridge.bridgeETHTo{value: 1 ether}(bob, 200_000, "");
        vm.stopPrank();
        executeDeposits();
        vm.assertEq(l2Token.balanceOf(bob), 100);
        vm.assertEq(bob.balance, 1 ether);

        vm.recordLogs();
        vm.prank(bob);
        l2Bridge.withdrawTo(address(l2Token), alice, 60, 200_000, "");
        finalizeWithdrawals();
        vm.assertEq(token.balanceOf(alice), 960);
    }

    function test_contractsMustNameARecipient() public {
        vm.expectRevert(abi.encodeWithSelector(StandardBridge.NotAnAccount.selector, address(this)));
        bridge.depositETH{value: 0}(100_000, "");
        vm.expectRevert(abi.encodeWithSelector(StandardBridge.NotAnAccount.selector, address(this)));
        bridge.bridgeERC20(address(token), address(l2Token), 1, 100_000, "");
        vm.expectRevert(abi.encodeWithSelector(StandardBridge.NotAnAccount.selector, address(this)));
        l2Bridge.withdraw(address(l2Token), 1, 100_000, "");
    }

    function test_aWrongPairMintsNothing() public {
        // The remote token named does not stand for this one: the L2 side refuses, and nothing is minted.
        vm.recordLogs();
        vm.startPrank(alice, alice);
        token.approve(address(bridge), 10);
        bridge.depositERC20(address(token), address(token), 10, 200_000, "");
        vm.stopPrank();
        executeDeposits();
        vm.assertEq(l2Token.totalSupply(), 0);
        // Nor can what was locked for one pair leave through another.
        vm.assertEq(bridge.deposits(address(token), address(l2Token)), 0);
        vm.prank(alice, alice);
        vm.expectRevert();
        l2Bridge.withdraw(address(l2Token), 10, 200_000, "");
    }

    function test_mintableTokenMustStandForTheNamedOne() public {
        depositTokens(10);
        vm.prank(alice, alice);
        vm.expectRevert(
            abi.encodeWithSelector(StandardBridge.WrongRemoteToken.selector, address(l2Token), address(7))
        );
        l2Bridge.bridgeERC20(address(l2Token), address(7), 10, 200_000, "");
    }

    function test_tokensWithAFeeAreRefused() public {
        FeeToken fee = new FeeToken();
        fee.mint(alice, 1_000);
        vm.startPrank(alice, alice);
        fee.approve(address(bridge), 1_000);
        vm.expectRevert(abi.encodeWithSelector(StandardBridge.InexactTransfer.selector, address(fee), 990, 1_000));
        bridge.bridgeERC20(address(fee), address(1), 1_000, 200_000, "");
    }

    function test_tokensCannotReenter() public {
        HookToken hook = new HookToken(bridge);
        hook.mint(alice, 100);
        vm.startPrank(alice, alice);
        hook.approve(address(bridge), 100);
        vm.expectRevert();
        bridge.bridgeERC20(address(hook), address(1), 100, 200_000, "");
        vm.assertEq(bridge.deposits(address(hook), address(1)), 0);
    }

    function testFuzz_onlyTheOtherBridgeFinalizes(address caller) public {
        vm.assume(caller != address(adminOf(address(bridge))));
        vm.startPrank(caller);
        vm.expectRevert();
        bridge.finalizeBridgeETH(alice, alice, 0, "");
        vm.expectRevert();
        bridge.finalizeBridgeERC20(address(token), address(l2Token), alice, alice, 1, "");
        vm.expectRevert();
        bridge.finalizeETHWithdrawal(alice, alice, 0, "");
        vm.expectRevert();
        bridge.finalizeERC20Withdrawal(address(token), address(l2Token), alice, alice, 1, "");
        vm.expectRevert();
        l2Bridge.finalizeBridgeERC20(address(l2Token), address(token), alice, alice, 1, "");
    }

    function test_anyL2SenderIsNotTheBridge() public {
        depositTokens(100);
        vm.recordLogs();
        vm.prank(alice);
        l2Messenger.sendMessage(
            address(bridge),
            abi.encodeCall(bridge.finalizeBridgeERC20, (address(token), address(l2Token), alice, alice, 100, "")),
            300_000
        );
        finalizeWithdrawals();
        vm.assertEq(token.balanceOf(address(bridge)), 100);
    }

    function test_bridgeAndMessengerReceiveNothing() public {
        for (uint256 i = 0; i < 2; ++i) {
            address to = i == 0 ? address(bridge) : address(messenger);
            vm.prank(alice, alice);
            bridge.depositETH{value: 1 ether}(100_000, "");
            vm.recordLogs();
            vm.prank(alice, alice);
            l2Bridge.withdrawTo{value: 1 ether}(Predeploys.LEGACY_ERC20_ETH, to, 1 ether, 100_000, "");
            finalizeWithdrawals();
            // Left as a failed message, not as ETH of the bridge.
            vm.assertEq(address(bridge).balance, 0);
            vm.assertEq(address(messenger).balance, (i + 1) * 1 ether);
        }
    }

    function test_ethAmountMustMatch() public {
        vm.prank(alice, alice);
        vm.expectRevert(abi.encodeWithSelector(StandardBridge.WrongValue.selector, 1, 2));
        l2Bridge.withdraw{value: 1}(Predeploys.LEGACY_ERC20_ETH, 2, 100_000, "");
        vm.prank(alice, alice);
        vm.expectRevert(abi.encodeWithSelector(StandardBridge.WrongValue.selector, 1, 0));
        l2Bridge.withdraw{value: 1}(address(l2Token), 2, 100_000, "");
    }

    function test_onlyTheBridgeMints() public {
        vm.expectRevert(abi.encodeWithSelector(OptimismMintableERC20.NotBridge.selector, address(this)));
        l2Token.mint(alice, 1);
        vm.expectRevert(abi.encodeWithSelector(OptimismMintableERC20.NotBridge.selector, address(this)));
        l2Token.burn(alice, 1);
    }

    function test_mintableTokenSaysWhatItIs() public view {
        vm.assertTrue(l2Token.supportsInterface(0x01ffc9a7));
        vm.assertTrue(l2Token.supportsInterface(0x1d1d8b63));
        vm.assertTrue(l2Token.supportsInterface(0xec4fc8e3));
        vm.assertFalse(l2Token.supportsInterface(0xffffffff));
        vm.assertEq(l2Token.remoteToken(), address(token));
        vm.assertEq(l2Token.l1Token(), address(token));
        vm.assertEq(l2Token.bridge(), address(l2Bridge));
        vm.assertEq(uint256(l2Token.decimals()), 18);
        vm.assertEq(l2Token.name(), "Token on L2");
    }
}
